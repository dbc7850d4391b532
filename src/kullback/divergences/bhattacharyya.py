r"""The Bhattacharyya distance: half of the Rényi divergence of order ½."""

from torch import Tensor

from kullback.divergences.api import divergence
from kullback.divergences.renyi import of_order
from kullback.gaussians.gaussian import Gaussian
from kullback.pairs.dispatch import make_pair


@divergence
def bhattacharyya(p: Gaussian, q: Gaussian) -> Tensor:
    r"""The Bhattacharyya distance :math:`-\log \int \sqrt{p q}`, in nats.

    .. math:: \tfrac18 \Delta^\top \bar\Sigma^{-1} \Delta
        + \tfrac12 \log \frac{\det \bar\Sigma}{\sqrt{\det \Sigma_p \det \Sigma_q}},
        \qquad \bar\Sigma = \tfrac12 (\Sigma_p + \Sigma_q)

    It is called a distance, and does not satisfy the triangle inequality (:func:`hellinger` does).
    Nothing cancels near p = q.

    Reference:
        A. Bhattacharyya, On a measure of divergence between two statistical populations defined by their probability
        distributions, Bulletin of the Calcutta Mathematical Society 35, 1943.

    Example:
        >>> from kullback import Gaussian, bhattacharyya
        >>> float(bhattacharyya(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([2.0], [1.0])))
        0.5
    """
    return 0.5 * of_order(make_pair(p, q), 0.5)
