"""One Gaussian as it is seen from another.

Stability belongs to the pair: whatever is formed from one covariance alone has already lost the digits in which two
nearly equal ones differ. ``relate`` is the only place where pairs of parameterisations are told apart; every
affine-invariant divergence reads what it returns, and none asks how the scales were given.
"""
