r"""The Kullback–Leibler divergence where it has no closed form, as an average over p.

:math:`k_1 = \log p - \log q` is unbiased; :math:`k_2 = \tfrac12 (\log p - \log q)^2` is not; and
:math:`k_3 = q/p - 1 - \log(q/p)` is, with a smaller variance where the divergence is below about 0.1, and at large
divergences with one so large that an average over any number of points that can be drawn comes out low.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kullback.estimate.averaging import Settings, averages, estimate, pair
from kullback.estimate.result import Estimate
from kullback.gaussian import Gaussian

_TERMS: dict[str, Callable[[Tensor], Tensor]] = {
    "k1": lambda log_ratio: log_ratio,
    "k2": lambda log_ratio: 0.5 * log_ratio.square(),
    "k3": lambda log_ratio: torch.expm1(-log_ratio) + log_ratio,
}
_CAVEATS = {
    "k2": "k2 is biased: it is half of the mean square of log p - log q, near the divergence only where that is small",
    "k3": "k3 has a smaller variance than k1 only below about 0.1 nats, and comes out low where q is far from p",
}


def kl_estimate(
    p: Any,
    q: Any,
    *,
    tolerance: float | None = None,
    n: int | None = None,
    method: str = "auto",
    seed: int | None = None,
) -> Estimate:
    r"""An estimate of the Kullback–Leibler divergence of p from q, with its error, for densities without a closed form.

    The mean of :math:`\log p - \log q` over points of p: from a Gaussian or a mixture by 16 independent scramblings of
    the Sobol sequence, for each component, whose spread gives the error (Student's t with 15 degrees of freedom); from
    any other density by independent draws.

    Shape:
        The broadcast batch shape of p and q.
    Units:
        Nats.
    Gradient:
        Flows to the parameters of q, and to those of p where points are moved with them: Gaussians, mixtures (their
        weights too), distributions of torch with ``rsample``. Otherwise a parameter of p that requires gradients is
        refused: the gradient of an average over fixed points is not that of the divergence.

    Args:
        p: what is drawn from: a Gaussian, a :class:`Mixture`, a distribution of torch, scikit-learn's
            ``GaussianMixture``, or any object with ``log_prob(x)`` and ``sample(n)``.
        q: likewise.
        tolerance: the standard error at which to stop, in nats; points are doubled until it is reached.
        n: how many points; rounded up to 16 × 2^k, or that for each component. By default 65,536.
        method: ``"auto"`` or ``"k1"``, the unbiased one; ``"k2"`` and ``"k3"`` by name, with what is wrong with them
            among the warnings.
        seed: the same seed, the same points (of objects that draw with torch; others have seeds of their own).

    Returns:
        ``Estimate(value, standard_error, interval, band, n, method, warnings)``.

    Raises:
        TypeError: for what has no density.
        ShapeError: if the events differ or the batches do not broadcast.
        ValueError: for an unknown method, a log-density that is NaN, or a gradient that would be wrong.

    Reference:
        A. B. Owen, Scrambled net variance for integrals of smooth functions, Annals of Statistics 25, 1997.

    Example:
        >>> from kullback import Gaussian, Mixture, kl_estimate
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-1.0], [1.0]], [[1.0], [1.0]]))
        >>> found = kl_estimate(p, Gaussian.from_std([0.0], [1.5]), seed=0)
        >>> round(float(found.value), 4), bool(found.standard_error < 1e-4)
        (0.0131, True)
    """
    if method != "auto" and method not in _TERMS:
        raise ValueError(f"method is one of auto, {', '.join(_TERMS)} for densities, got {method!r}.")
    name = "k1" if method == "auto" else method
    settings = Settings(tolerance, n, seed)
    p, q = pair(p, q)
    mean = averages([(p, q, lambda log_p, log_q: _TERMS[name](log_p - log_q))], settings)
    exact = isinstance(p, Gaussian) and isinstance(q, Gaussian)
    closed = "this pair has a closed form: kl_divergence(p, q) is exact" if exact else None
    return estimate(mean, (p, q), settings, name, [_CAVEATS.get(name), closed])
