r"""The Kullback–Leibler divergence.

For independent coordinates it is the sum over them of

.. math:: \tfrac12 \left( r - 1 - \log r \right) + \tfrac12 \left( \frac{\mu_p - \mu_q}{\sigma_q} \right)^2,
    \qquad r = \sigma_p^2 / \sigma_q^2 .

Both terms are non-negative, and neither is ever formed by subtracting large numbers: the first comes from
``relative.py``, from the scales as they were given; in the second the means are subtracted before they are scaled.
"""

import torch
from torch import Tensor

from kullback.common import sum_event
from kullback.divergences.formula import divergence
from kullback.gaussian import Gaussian
from kullback.relative import half_excess


@divergence
def kl_divergence(p: Gaussian, q: Gaussian) -> Tensor:
    r"""The Kullback–Leibler divergence of p from q, exactly.

    .. math:: D(p \,\|\, q) = \int p \log \frac{p}{q}
        = \tfrac12 \sum_i \left[ \frac{\sigma_{p,i}^2}{\sigma_{q,i}^2} - 1 - \log \frac{\sigma_{p,i}^2}{\sigma_{q,i}^2}
        + \frac{(\mu_{p,i} - \mu_{q,i})^2}{\sigma_{q,i}^2} \right]

    Shape:
        The broadcast batch shape of p and q: ``(batch_size,)`` for means of shape ``(batch_size, n)``.
    Units:
        Nats.
    Gradient:
        Exact and twice differentiable; exactly zero at p = q. Works under ``torch.func`` transforms,
        ``torch.compile(fullgraph=True)`` and autocast (which it switches off for itself).
    Stability:
        Never negative, exactly 0 at p = q, finite whenever the value is representable, gradients too. Each
        coordinate's term and its gradients are within 4 units in the last place (4 eps of the value) if p and q are
        parameterised alike; the gradient for q's scale is a sum of a positive and a negative part, and within 4 eps of
        their absolute sum. If the parameterisations differ, each of the two terms is within 4 times the change that
        half a unit in the last place of the converted scale makes. float16 and bfloat16 are computed in, and give,
        float32. A scale that is not positive and slipped past validation gives NaN.

    Args:
        p: a :class:`~kullback.Gaussian`, or a ``torch.distributions`` Normal or Independent(Normal).
        q: the same.

    Returns:
        A tensor, or a NumPy array if p and q were given as NumPy.

    Raises:
        ShapeError: if the events differ or the batches do not broadcast.
        NoClosedForm: for distributions that are not Gaussians.

    Reference:
        S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22, 1951.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, kl_divergence
        >>> p = Gaussian.from_std(torch.zeros(4, 8), torch.ones(4, 8))
        >>> q = Gaussian.from_std(torch.ones(4, 8), torch.ones(4, 8))
        >>> kl_divergence(p, q)
        tensor([4., 4., 4., 4.])
    """
    return sum_event(_terms(p, q), len(p.event_shape))


@divergence
def kl_per_dimension(p: Gaussian, q: Gaussian) -> Tensor:
    r"""The contribution of each coordinate to the Kullback–Leibler divergence of p from q, in nats.

    Shape:
        The broadcast batch shape, followed by the event shape. The sum over the event is :func:`kl_divergence`, whose
        accuracy, arguments and errors it shares.

    Example:
        >>> from kullback import Gaussian, kl_per_dimension
        >>> kl_per_dimension(Gaussian.from_std([0.0, 3.0], 1.0), Gaussian.standard(2))
        array([0. , 4.5])
    """
    return _terms(p, q)


def _terms(p: Gaussian, q: Gaussian) -> Tensor:
    terms = half_excess(p.scale, q.scale) + q.scale.half_square_distance(p.mean, q.mean)
    # Where both were given as numbers, the event has had no dimensions up to here.
    return terms.broadcast_to(torch.broadcast_shapes(terms.shape, p.event_shape))
