r"""The Kullback–Leibler divergence.

With the relative covariance :math:`I + E = \Sigma_q^{-1/2} \Sigma_p \Sigma_q^{-1/2}` it is

.. math:: \tfrac12 [\operatorname{tr} E - \log\det(I + E)] + \tfrac12 \Delta^\top \Sigma_q^{-1} \Delta,
    \qquad \Delta = \mu_p - \mu_q ,

for independent coordinates the sum over them of :math:`\tfrac12 (r - 1 - \log r) + \tfrac12 (\Delta / \sigma_q)^2`,
:math:`r = \sigma_p^2 / \sigma_q^2`. Both terms are non-negative, and neither is ever formed by subtracting large
numbers: the first comes from the pair, from the scales as they were given; in the second the means are subtracted
before they are scaled.
"""

import torch
from torch import Tensor

from kullback.divergences.api import divergence, public
from kullback.divergences.results import KLDecomposition, KLTerms
from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian
from kullback.pairs.dispatch import diagonal_pair, make_pair, marginals


@divergence
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
        are parameterized alike; the gradient for q's scale is a sum of a positive and a negative part, and within 4 eps
        of their absolute sum. If the parameterizations differ, each of the two terms is within 4 times the change that
        half a unit in the last place of the converted scale makes. For other scales the error is within the larger of
        450 units in the last place and 20 times what rounding the inputs otherwise by half a unit would change. float16
        and bfloat16 are computed in, and give, float32. A scale that is not positive (definite) and slipped past
        validation gives NaN.

    Args:
        p: a :class:`~kullback.Gaussian`, or what stands for one: a ``torch.distributions`` Normal, Independent,
            MultivariateNormal or LowRankMultivariateNormal, a GPyTorch MultivariateNormal, a diffusers posterior. Of
            two distributions with the same transforms (tanh-squashed policies, log-normals) those under them are
            compared. Two distributions of torch of which one is no Gaussian get torch's own closed form, where it has
            one.
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
    return make_pair(p, q).kl()


@public
def kl_terms(p: Gaussian, q: Gaussian) -> KLTerms:
    r"""The two terms of the Kullback–Leibler divergence of p from q in each coordinate, in nats.

    .. math:: \tfrac12 \frac{(\mu_p - \mu_q)^2}{\sigma_q^2}, \qquad \tfrac12 (r - 1 - \log r), \quad
        r = \sigma_p^2 / \sigma_q^2

    Shape:
        Each is the broadcast batch shape, followed by the event shape. The sum of both over the event is
        :func:`kl_divergence`, whose accuracy and gradients they share. For pairs of diagonals: other
        covariances do not contribute coordinate by coordinate.

    Returns:
        ``KLTerms(mean, covariance)``.

    Raises:
        NoClosedForm: if p or q is not diagonal; :func:`kl_decomposition` splits any pair.

    Example:
        >>> from kullback import Gaussian, kl_terms
        >>> kl_terms(Gaussian.from_std([0.0, 3.0], 1.0), Gaussian.standard(2))
        KLTerms(mean=array([0. , 4.5]), covariance=array([0., 0.]))
    """
    return _terms(p, q)


def _terms(p: Gaussian, q: Gaussian) -> KLTerms:
    if not (p.scale.is_diagonal and q.scale.is_diagonal):
        raise NoClosedForm(
            f"terms for each coordinate need diagonal Gaussians, got {p.scale.parameterization} and "
            f"{q.scale.parameterization}: the coordinates of others do not contribute one by one. "
            "kl_decomposition(p, q) splits any pair."
        )
    pair = diagonal_pair(p, q)
    return KLTerms(pair.mean_terms(), pair.covariance_terms())


@public
def kl_per_dimension(p: Gaussian, q: Gaussian) -> Tensor:
    r"""The contribution of each coordinate to the Kullback–Leibler divergence of p from q, in nats.

    Shape:
        The broadcast batch shape, followed by the event shape. The sum over the event is :func:`kl_divergence`;
        :func:`kl_terms` splits each contribution, and says more.

    Raises:
        NoClosedForm: if p or q is not diagonal; :func:`kl_decomposition` splits any pair.

    Example:
        >>> from kullback import Gaussian, kl_per_dimension
        >>> kl_per_dimension(Gaussian.from_std([0.0, 3.0], 1.0), Gaussian.standard(2))
        array([0. , 4.5])
    """
    terms = _terms(p, q)
    return terms.covariance + terms.mean


@public
def kl_decomposition(p: Gaussian, q: Gaussian) -> KLDecomposition:
    r"""The Kullback–Leibler divergence of p from q, split into what the means and what the covariances contribute.

    If q is diagonal, the covariance part splits further, into that of the marginal scales and the total correlation
    :math:`D(p \,\|\, \prod_i p_i)`. All parts are non-negative and independent of the order of the coordinates
    (which a split by Cholesky factors is not). ``mean + covariance`` is :func:`kl_divergence`;
    ``marginal_scales + total_correlation`` is ``covariance``.

    Returns:
        ``KLDecomposition(mean, covariance, marginal_scales, total_correlation)``; the last two are None unless q is
        diagonal.

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
    pair = make_pair(p, q)
    mean, scales, correlation = pair.mean_term(), None, None
    if q.scale.is_diagonal:
        own = marginals(p)
        scales = make_pair(own, q).covariance_term()
        # Of a diagonal p there is nothing to correlate; its own scale against itself is exactly 0.
        correlation = make_pair(p, own).covariance_term()
        covariance = scales + correlation
    else:
        covariance = pair.covariance_term()
    parts = torch.broadcast_tensors(*(x for x in (mean, covariance, scales, correlation) if x is not None))
    return KLDecomposition(*parts, *[None] * (4 - len(parts)))
