r"""Cross-entropy and entropy.

Formed as the sum that it is, since entropy plus divergence would subtract what the entropy of a narrow p puts in.
"""

import math
from typing import Any

import torch
from torch import Tensor

from kullback.divergences.api import public
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.registry import gaussian_for
from kullback.pairs.dispatch import make_pair


@public
def cross_entropy(p: Gaussian, q: Gaussian) -> Tensor:
    r"""The cross-entropy :math:`-\int p \log q` of q under p, in nats: entropy(p) + kl_divergence(p, q).

    .. math:: \tfrac12 \left[ d \log 2\pi + \log\det\Sigma_q + \operatorname{tr}(\Sigma_q^{-1} \Sigma_p)
        + \Delta^\top \Sigma_q^{-1} \Delta \right]

    It is finite also of a singular p, as long as q has a density.

    Reference:
        T. M. Cover and J. A. Thomas, Elements of Information Theory, second edition, Wiley, 2006.

    Example:
        >>> from kullback import Gaussian, cross_entropy
        >>> round(float(cross_entropy(Gaussian.from_std([1.0], [1.0]), Gaussian.standard(1))), 6)
        1.918939
    """
    if p.scale.has_density:
        pair = make_pair(p, q)
        square = pair.half_trace() + pair.mean_term()
    else:
        square = _half_square(p, q)
    return square + q.scale.half_log_det(q.event_shape) + 0.5 * q.event_size * math.log(2 * math.pi)


def _half_square(p: Gaussian, q: Gaussian) -> Tensor:
    """Half of the trace and of the square of the means, of a singular p: column by column of its factor."""
    columns = p.scale.root(p.event_shape).movedim(-1, 0)
    trace = q.scale.half_mahalanobis(columns, torch.zeros_like(columns), q.event_shape).sum(0)
    return trace + q.scale.half_mahalanobis(p.mean, q.mean, q.event_shape)


def entropy(p: Any) -> Any:
    r"""The differential entropy :math:`-\int p \log p` of a Gaussian, in nats.

    .. math:: \tfrac12 \left[ d (1 + \log 2\pi) + \log\det\Sigma \right]

    Shape:
        The batch shape of p, which may be whatever :func:`kl_divergence` takes.

    Raises:
        NoClosedForm: for what is not Gaussian: :func:`entropy_estimate`.
        TypeError: for what stands for no distribution, as samples do: :func:`entropy_estimate` takes them.

    Reference:
        T. M. Cover and J. A. Thomas, Elements of Information Theory, second edition, Wiley, 2006.

    Example:
        >>> from kullback import Gaussian, entropy
        >>> round(float(entropy(Gaussian.from_std([0.0], [1.0]))), 6)
        1.418939
    """
    return gaussian_for("entropy", p, "p").entropy()
