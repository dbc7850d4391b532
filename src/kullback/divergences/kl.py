r"""The Kullback–Leibler divergence.

With the relative covariance :math:`I + E = \Sigma_q^{-1/2} \Sigma_p \Sigma_q^{-1/2}` it is

.. math:: \tfrac12 [\operatorname{tr} E - \log\det(I + E)] + \tfrac12 \Delta^\top \Sigma_q^{-1} \Delta,
    \qquad \Delta = \mu_p - \mu_q ,

for independent coordinates the sum over them of :math:`\tfrac12 (r - 1 - \log r) + \tfrac12 (\Delta / \sigma_q)^2`,
:math:`r = \sigma_p^2 / \sigma_q^2`. Both terms are non-negative, and neither is ever formed by subtracting large
numbers: the first comes from the pair, from the scales as they were given; in the second the means are subtracted
before they are scaled.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from kullback.divergences.formula import divergence, public
from kullback.divergences.record import Record
from kullback.errors import NoClosedForm
from kullback.gaussian import Gaussian
from kullback.relative.relate import axes, marginals, relate
from kullback.scale.diagonal import Diagonal

KL = Record(
    name="kl_divergence",
    title="Kullback–Leibler divergence",
    formula=r"\int p \log \frac pq",
    symmetric=False,
    metric=False,
    bounded=False,
    invariance="affine",
    reference="S. Kullback and R. A. Leibler, Annals of Mathematical Statistics 22, 1951",
)


@divergence(KL)
def kl_divergence(p: Gaussian, q: Gaussian) -> Tensor:
    r"""The Kullback–Leibler divergence of p from q, exactly.

    .. math:: D(p \,\|\, q) = \int p \log \frac{p}{q}
        = \tfrac12 \left[ \operatorname{tr}(\Sigma_q^{-1} \Sigma_p) - d - \log \frac{\det \Sigma_p}{\det \Sigma_q}
        + (\mu_p - \mu_q)^\top \Sigma_q^{-1} (\mu_p - \mu_q) \right]

    Shape:
        The broadcast batch shape of p and q: ``(batch_size,)`` for means of shape ``(batch_size, n)``.
    Units:
        Nats.
    Gradient:
        Exact and twice differentiable; exactly zero at p = q. Works under ``torch.func`` transforms,
        ``torch.compile(fullgraph=True)`` and autocast (which it switches off for itself).
    Stability:
        Never negative, exactly 0 at p = q, finite whenever the value is representable, gradients too. For diagonals
        each coordinate's term and its gradients are within 4 units in the last place (4 eps of the value) if p and q
        are parameterised alike; the gradient for q's scale is a sum of a positive and a negative part, and within 4 eps
        of their absolute sum. If the parameterisations differ, each of the two terms is within 4 times the change that
        half a unit in the last place of the converted scale makes. For other scales the error is within the larger of
        450 units in the last place and 20 times what rounding the inputs otherwise by half a unit would change. float16
        and bfloat16 are computed in, and give, float32. A scale that is not positive (definite) and slipped past
        validation gives NaN.

    Args:
        p: a :class:`~kullback.Gaussian`, or what stands for one: a ``torch.distributions`` Normal, Independent,
            MultivariateNormal or LowRankMultivariateNormal, a GPyTorch MultivariateNormal, a diffusers posterior.
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
    pair = relate(p, q)
    return pair.half_excess() + pair.half_square()


@public
def kl_per_dimension(p: Gaussian, q: Gaussian) -> Tensor:
    r"""The contribution of each coordinate to the Kullback–Leibler divergence of p from q, in nats.

    Shape:
        The broadcast batch shape, followed by the event shape. The sum over the event is :func:`kl_divergence`, whose
        accuracy, arguments and errors it shares. For pairs of diagonals: the parts of others are not per coordinate.

    Raises:
        NoClosedForm: if p or q is not diagonal; :func:`kl_decomposition` splits any pair.

    Example:
        >>> from kullback import Gaussian, kl_per_dimension
        >>> kl_per_dimension(Gaussian.from_std([0.0, 3.0], 1.0), Gaussian.standard(2))
        array([0. , 4.5])
    """
    if not (isinstance(p.scale, Diagonal) and isinstance(q.scale, Diagonal)):
        raise NoClosedForm(
            f"kl_per_dimension takes diagonal Gaussians, got {p.scale.given} and {q.scale.given}: the coordinates of "
            "others do not contribute one by one. kl_decomposition(p, q) splits any pair."
        )
    pair = axes(p, q)
    return pair.excess_terms() + pair.square_terms()


class KLDecomposition(NamedTuple):
    """Where a divergence comes from; each part is non-negative, in nats, and has the shape of the batch."""

    mean: Tensor
    """The divergence if the covariances were q's."""
    covariance: Tensor
    """The divergence if the means were equal."""
    marginal_scales: Tensor | None
    """For a diagonal q, the part of ``covariance`` that the marginals of p have against those of q."""
    total_correlation: Tensor | None
    """For a diagonal q, the rest of it: the divergence of p from the product of its own marginals."""


@public
def kl_decomposition(p: Gaussian, q: Gaussian) -> KLDecomposition:
    r"""The Kullback–Leibler divergence of p from q, split into what the means and what the covariances contribute.

    If q is diagonal, the covariance part splits further, into that of the marginal scales and the total correlation
    :math:`D(p \,\|\, \prod_i p_i)`. All parts are non-negative and independent of the order of the coordinates
    (which a split by Cholesky factors is not). ``mean + covariance`` is :func:`kl_divergence`, whose arguments and
    errors it shares; ``marginal_scales + total_correlation`` is ``covariance``.

    Reference:
        S. Watanabe, Information theoretical analysis of multivariate correlation, IBM Journal of Research and
        Development 4, 1960.

    Example:
        >>> from kullback import Gaussian, kl_decomposition
        >>> p = Gaussian.from_covariance([1.0, 0.0], [[1.0, 0.6], [0.6, 1.0]])
        >>> parts = kl_decomposition(p, Gaussian.standard(2))
        >>> [round(float(x), 6) for x in parts]
        [0.5, 0.223144, 0.0, 0.223144]
    """
    pair = relate(p, q)
    mean, scales, correlation = pair.half_square(), None, None
    if isinstance(q.scale, Diagonal):
        own = marginals(p)
        scales = relate(own, q).half_excess()
        # Of a diagonal p there is nothing to correlate; its own scale against itself is exactly 0.
        correlation = relate(p, own).half_excess()
        covariance = scales + correlation
    else:
        covariance = pair.half_excess()
    parts = torch.broadcast_tensors(*(x for x in (mean, covariance, scales, correlation) if x is not None))
    return KLDecomposition(*parts, *[None] * (4 - len(parts)))
