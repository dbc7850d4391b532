"""The scale of p as it is seen from q, without cancellation.

Stability belongs to the pair: whatever is formed from one covariance alone has already lost the digits in which two
nearly equal ones differ. Every divergence reads its scale term here.
"""

from collections.abc import Callable

import torch
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


def common_parameterisation(*scales: Diagonal) -> Parameterisation:
    """The parameterisation in which scales are compared.

    A Python number is converted exactly enough to take the others', as long as their dtype can hold it there; arrays
    given differently meet in log-variance if one is that, else in standard deviation.
    """
    arrays = [scale for scale in scales if isinstance(scale.value, Tensor)]
    numbers = [scale for scale in scales if not isinstance(scale.value, Tensor)]
    given = {scale.given for scale in arrays or numbers}
    common = given.pop() if len(given) == 1 else next(g for g in _COMMON if g in given)
    dtype = arrays[0].tensor.dtype if arrays else torch.get_default_dtype()
    return common if all(number.to(common).fits(dtype) for number in numbers) else "logvar"


def half_excess(p: Diagonal, q: Diagonal) -> Tensor:
    r"""Half of :math:`r - 1 - \log r` per axis, :math:`r = \sigma_p^2/\sigma_q^2`: the scale term of the KL."""
    given = common_parameterisation(p, q)
    return _HALF_EXCESS[given](p.to(given).tensor, q.to(given).tensor)
