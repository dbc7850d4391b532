"""A pair of Gaussians: p as it is seen from q.

Stability belongs to the pair: whatever is formed from one covariance alone has already lost the digits in which two
nearly equal ones differ. ``base.py`` lists what a divergence may ask of a pair; ``dispatch.py`` is the only place where
pairs of parameterizations are told apart, and makes the pair of ``diagonal.py``, ``full.py`` or ``low_rank.py`` (with
``low_rank_covariance.py``) that answers. May import ``interop/`` and what comes before. Next: ``kernels/``,
``divergences/``.
"""
