r"""The aggregated posterior of all inputs, from the posteriors of a minibatch.

With :math:`q(z) = \frac1N \sum_j q(z | x_j)` over N inputs and z drawn from the posterior of one of M that are in the
minibatch, that one stands for itself, and the others for all others:

.. math:: \hat q(z_i) = \frac1N q(z_i | x_i) + \frac{N - 1}{N (M - 1)} \sum_{j \ne i} q(z_i | x_j) ,

whose mean over minibatches is q(z_i). So its own posterior has the weight 1/N, on the diagonal of the matrix of
weights. A matrix that is widely copied has 1/N in the first *column*, and 1/(M - 1) on the diagonal: a point's own
posterior, which is most of the sum where posteriors hardly overlap, counts N/(M - 1) times too much, and log q(z) comes
out too high by up to the logarithm of that. ``benchmarks/minibatch.py`` measures 4.0 to 6.7 nats for 60,000 inputs and
minibatches of 1,024 to 64 (0.3 to 2.6 for the 1,797 digits of the demo), where the weights above are 0.03 to 0.04 too
low (0.07 to 0.45).
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kullback.errors import NoClosedForm, ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.registry import as_gaussian
from kullback.numerics.tensors import compute_dtype, no_autocast


class TotalCorrelationTerms(NamedTuple):
    """Three terms that add up to the mean of log q(z|x) - log p(z), in nats."""

    index_code_mi: Tensor
    """The mean of log q(z|x) - log q(z): the mutual information of inputs and latents."""
    total_correlation: Tensor
    """The mean of log q(z) less the sum over coordinates of log q(z_k): how far coordinates are from independent."""
    dimension_wise_kl: Tensor
    """The mean of the sum over coordinates of log q(z_k) - log p(z_k): how far each coordinate is from its prior."""


def minibatch_log_prob(posteriors: Any, z: Tensor, n_inputs: int) -> Tensor:
    r"""An estimate of :math:`\log q(z)`, q the aggregated posterior of ``n_inputs`` inputs, from a minibatch of them.

    The logarithm of an unbiased estimate of q(z): below :math:`\log q(z)` on average, by Jensen's inequality, and equal
    to it if the minibatch is all inputs.

    Shape:
        ``(M,)``, in nats.
    Gradient:
        Flows to the posteriors and to z.

    Args:
        posteriors: a batch ``(M,)`` of Gaussians with independent coordinates.
        z: one point of each, ``(M, *event)``.
        n_inputs: how many inputs the minibatch was drawn from, N.

    Raises:
        ShapeError: unless the posteriors are one batch, and z is a point of each.
        ValueError: for fewer than two posteriors, or more than inputs.
        NoClosedForm: for posteriors, or a prior, that are not diagonal.

    Reference:
        R. T. Q. Chen, X. Li, R. Grosse and D. Duvenaud, Isolating sources of disentanglement in VAEs, NeurIPS 2018.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> from kullback.losses import minibatch_log_prob
        >>> q = Gaussian.from_std(torch.tensor([[0.0], [2.0]]), torch.ones(2, 1))
        >>> minibatch_log_prob(q, torch.tensor([[0.0], [2.0]]), n_inputs=2)
        tensor([-1.4852, -1.4852])
    """
    each, log_weights = _each(posteriors, z, n_inputs)
    return torch.logsumexp(log_weights + each.sum(-1), 1)


def total_correlation_terms(posteriors: Any, z: Tensor, n_inputs: int, *, prior: Any = None) -> TotalCorrelationTerms:
    r"""The divergence from the prior of one minibatch, taken apart: for losses that weigh the parts differently.

    ``index_code_mi + beta * total_correlation + dimension_wise_kl`` is that of the β-TCVAE; with β = 1 it is the mean
    of log q(z|x) - log p(z) at the points given, of which :func:`kl_loss` is the exact expectation.

    Both :math:`\log q(z)` and :math:`\log q(z_k)` are estimated as by :func:`minibatch_log_prob`, which is low: the
    mutual information comes out high. After training, :func:`kullback.mutual_information` of all posteriors is an
    estimate that has an error.

    Shape:
        Three numbers. Memory grows with M² times the number of coordinates.

    Args:
        posteriors: as for :func:`minibatch_log_prob`.
        z: as there, reparameterized samples of the posteriors.
        n_inputs: as there.
        prior: a Gaussian with independent coordinates; N(0, I) if not given.

    Reference:
        R. T. Q. Chen, X. Li, R. Grosse and D. Duvenaud, Isolating sources of disentanglement in VAEs, NeurIPS 2018.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> from kullback.losses import total_correlation_terms
        >>> q = Gaussian.from_std(torch.tensor([[0.0, 0.0], [2.0, 2.0]]), torch.ones(2, 2))
        >>> terms = total_correlation_terms(q, q.mean, n_inputs=2)
        >>> [round(float(x), 3) for x in terms]
        [0.675, 0.457, 0.868]
    """
    each, log_weights = _each(posteriors, z, n_inputs)
    m, d = len(each), each.shape[-1]
    one = as_gaussian(Gaussian.standard(d) if prior is None else prior, "prior")
    if not one.scale.is_diagonal or one.batch_shape:
        raise NoClosedForm(f"prior is {one!r}: it must be one Gaussian with independent coordinates.")
    log_prior = one.log_prob(z if prior is not None else z.reshape(m, d))
    own = each.diagonal().sum(0)
    joint = torch.logsumexp(log_weights + each.sum(-1), 1)
    marginals = torch.logsumexp(log_weights[..., None] + each, 1).sum(-1)
    return TotalCorrelationTerms((own - joint).mean(), (joint - marginals).mean(), (marginals - log_prior).mean())


def _each(posteriors: Any, z: Tensor, n_inputs: int) -> tuple[Tensor, Tensor]:
    """The log-densities of each point under each posterior by coordinates, ``(M, M, d)``, and logarithms of weights."""
    q = as_gaussian(posteriors, "posteriors")
    if len(q.batch_shape) != 1 or z.shape != q.batch_shape + q.event_shape:
        raise ShapeError(
            f"posteriors of batch shape {tuple(q.batch_shape)} and event shape {tuple(q.event_shape)} with z of shape "
            f"{tuple(z.shape)}: z has one point of each posterior of one batch, (M, *event)."
        )
    m = len(q)
    whole = isinstance(n_inputs, (int, np.integer)) and not isinstance(n_inputs, bool)
    if not whole or not 2 <= m <= n_inputs:
        raise ValueError(f"a minibatch has at least 2 posteriors, and at most n_inputs={n_inputs!r}, got {m}.")
    if not q.scale.is_diagonal:
        raise NoClosedForm(f"posteriors given as {q.scale.parameterization}: coordinates must be independent.")
    with no_autocast(z.device):
        dtype = compute_dtype([*q.tensors(), z])
        mean, logvar = q.cast(dtype, z.device).flat_parameters("logvar")
        scaled = (z.reshape(m, 1, -1).to(dtype) - mean) * (-0.5 * logvar).exp()
        each = -0.5 * (scaled.square() + logvar + math.log(2 * math.pi))
        weights = torch.full((m, m), (n_inputs - 1) / (n_inputs * (m - 1)), dtype=dtype, device=z.device)
        return each, weights.fill_diagonal_(1.0 / n_inputs).log()
