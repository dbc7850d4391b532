"""The scale of p as it is seen from q, without cancellation.

Stability belongs to the pair: whatever is formed from one covariance alone has already lost the digits in which two
nearly equal ones differ. Every divergence reads its scale term here.
"""

from collections.abc import Callable

from torch import Tensor

from kullback.numerics import half_excess_of_logvars, half_excess_of_stds, half_excess_of_variances
from kullback.scale import Diagonal, Parameterisation

# What two scales are compared in, in order: the first one that either of them was given in, if they differ.
_COMMON: tuple[Parameterisation, ...] = ("logvar", "std")

_HALF_EXCESS: dict[Parameterisation, Callable[[Tensor, Tensor], Tensor]] = {
    "std": half_excess_of_stds,
    "variance": half_excess_of_variances,
    "logvar": half_excess_of_logvars,
}


def common_parameterisation(p: Diagonal, q: Diagonal) -> Parameterisation:
    """The parameterisation in which p and q are compared.

    A Python number is converted exactly enough to take the other's; two arrays given differently meet in
    log-variance if either is one, else in standard deviation.
    """
    if p.given == q.given or not isinstance(q.value, Tensor):
        return p.given
    if not isinstance(p.value, Tensor):
        return q.given
    return next(given for given in _COMMON if given in (p.given, q.given))


def half_excess(p: Diagonal, q: Diagonal) -> Tensor:
    r"""Half of :math:`r - 1 - \log r` per axis, :math:`r = \sigma_p^2/\sigma_q^2`: the scale term of the KL."""
    given = common_parameterisation(p, q)
    return _HALF_EXCESS[given](p.to(given).tensor, q.to(given).tensor)
