r"""The aggregated posterior of all inputs, estimated from the posteriors of a minibatch.

The aggregated posterior of N inputs is :math:`q(z) = \frac1N \sum_j q(z | x_j)`. For a point :math:`z_i` drawn from the
posterior of :math:`x_i`, one of the M inputs of a minibatch,

.. math:: \hat q(z_i) = \frac1N q(z_i | x_i) + \frac{N - 1}{N (M - 1)} \sum_{j \ne i} q(z_i | x_j)

is an unbiased estimate over random minibatches: the other M - 1 posteriors represent the other N - 1 inputs. Thus the
matrix of weights has 1/N on its diagonal.

A widely copied matrix has 1/N in its first *column* and 1/(M - 1) on its diagonal. It gives the posterior that a point
was drawn from, which dominates the sum where posteriors hardly overlap, a weight that is N/(M - 1) times too large, so
that log q(z) is too high by up to the logarithm of that. ``benchmarks/minibatch.py`` measures errors of 4.0 to 6.7 nats
for 60,000 inputs and minibatches of 1,024 to 64 (0.3 to 2.6 for the 1,797 digits of the demo); with the weights above
log q(z) is too low by 0.03 to 0.04 (0.07 to 0.45).
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
    """Three terms that sum to the mean of log q(z|x) - log p(z), in nats."""

    index_code_mi: Tensor
    """The mean of log q(z|x) - log q(z): an estimate of the mutual information of inputs and latent variables."""
    total_correlation: Tensor
    """The mean of log q(z) - sum_k log q(z_k): the divergence from independent coordinates."""
    dimension_wise_kl: Tensor
    """The mean of sum_k [log q(z_k) - log p(z_k)]: the sum of the divergences of the coordinates from their priors."""


def minibatch_log_prob(posteriors: Any, z: Tensor, n_inputs: int) -> Tensor:
    r"""An estimate of the log-density :math:`\log q(z)` of the aggregated posterior of all inputs, from a minibatch.

    It is the logarithm of an unbiased estimate of q(z). By Jensen's inequality its mean is below :math:`\log q(z)`; the
    two are equal if the minibatch contains all inputs.

    Shape:
        ``(M,)`` for a minibatch of M inputs.
    Units:
        Nats.
    Gradient:
        Flows to the posteriors and to z.

    Args:
        posteriors: a batch ``(M,)`` of diagonal Gaussians, or of anything else that :func:`kl_divergence` takes.
        z: a point of each posterior, ``(M, *event)``.
        n_inputs: N, the number of all inputs, from which the minibatch was drawn.

    Returns:
        A tensor.

    Raises:
        ShapeError: if the posteriors do not have exactly one batch dimension, or z is not one point of each.
        ValueError: if there are fewer than two posteriors, or more than ``n_inputs``.
        NoClosedForm: if the posteriors are not diagonal.

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
    log_probs, log_weights = _log_probs_and_weights(posteriors, z, n_inputs)
    return torch.logsumexp(log_weights + log_probs.sum(-1), 1)


def total_correlation_terms(posteriors: Any, z: Tensor, n_inputs: int, *, prior: Any = None) -> TotalCorrelationTerms:
    r"""The divergence of the posteriors of a minibatch from the prior, split into three terms with separate weights.

    The loss of the β-TCVAE is ``index_code_mi + beta * total_correlation + dimension_wise_kl``. With β = 1 it is the
    mean of log q(z|x) - log p(z) at the given points, whose exact expectation is :func:`kl_loss`.

    Both :math:`\log q(z)` and :math:`\log q(z_k)` are estimated as by :func:`minibatch_log_prob`, and are too low, so
    that the mutual information is too high. After training, :func:`kullback.mutual_information_estimate` of all
    posteriors is an estimate with an error.

    Shape:
        Three single numbers. Memory is proportional to M² times the number of coordinates.
    Units:
        Nats.
    Gradient:
        Flows to the posteriors, to z and to the prior.

    Args:
        posteriors: a batch ``(M,)`` of diagonal Gaussians, or of anything else that :func:`kl_divergence` takes.
        z: a reparameterized sample of each posterior, ``(M, *event)``.
        n_inputs: N, the number of all inputs, from which the minibatch was drawn.
        prior: a diagonal Gaussian; N(0, I) if not given.

    Returns:
        ``TotalCorrelationTerms(index_code_mi, total_correlation, dimension_wise_kl)``: tensors.

    Raises:
        ShapeError: if the posteriors do not have exactly one batch dimension, or z is not one point of each.
        ValueError: if there are fewer than two posteriors, or more than ``n_inputs``.
        NoClosedForm: if the posteriors or the prior are not diagonal, or the prior is a batch.

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
    log_probs, log_weights = _log_probs_and_weights(posteriors, z, n_inputs)
    m, d = len(log_probs), log_probs.shape[-1]
    prior_gaussian = as_gaussian(Gaussian.standard(d) if prior is None else prior, "prior")
    if not prior_gaussian.scale.is_diagonal or prior_gaussian.batch_shape:
        raise NoClosedForm(f"prior is {prior_gaussian!r}: it must be a single Gaussian with independent coordinates.")
    log_prior = prior_gaussian.log_prob(z if prior is not None else z.reshape(m, d))
    log_posterior = log_probs.diagonal().sum(0)
    log_joint = torch.logsumexp(log_weights + log_probs.sum(-1), 1)
    log_marginals = torch.logsumexp(log_weights[..., None] + log_probs, 1).sum(-1)
    return TotalCorrelationTerms(
        index_code_mi=(log_posterior - log_joint).mean(),
        total_correlation=(log_joint - log_marginals).mean(),
        dimension_wise_kl=(log_marginals - log_prior).mean(),
    )


def _log_probs_and_weights(posteriors: Any, z: Tensor, n_inputs: int) -> tuple[Tensor, Tensor]:
    """The log-densities of all points under all posteriors by coordinates, ``(M, M, d)``, and the logarithms of the
    weights, ``(M, M)``.
    """
    q = as_gaussian(posteriors, "posteriors")
    if len(q.batch_shape) != 1 or z.shape != q.batch_shape + q.event_shape:
        raise ShapeError(
            f"posteriors have batch shape {tuple(q.batch_shape)} and event shape {tuple(q.event_shape)}, z has shape "
            f"{tuple(z.shape)}: pass a batch (M,) of posteriors and one point of each, (M, *event)."
        )
    m = len(q)
    whole = isinstance(n_inputs, (int, np.integer)) and not isinstance(n_inputs, bool)
    if not whole or not 2 <= m <= n_inputs:
        raise ValueError(f"a minibatch has at least 2 posteriors, and at most n_inputs={n_inputs!r}, got {m}.")
    if not q.scale.is_diagonal:
        raise NoClosedForm(
            f"posteriors are given as {q.scale.parameterization}: their coordinates must be independent, given as std, "
            "variance or logvar."
        )
    with no_autocast(z.device):
        dtype = compute_dtype([*q.tensors(), z])
        mean, logvar = q.cast(dtype, z.device).flat_parameters("logvar")
        scaled = (z.reshape(m, 1, -1).to(dtype) - mean) * (-0.5 * logvar).exp()
        log_probs = -0.5 * (scaled.square() + logvar + math.log(2 * math.pi))
        weights = torch.full((m, m), (n_inputs - 1) / (n_inputs * (m - 1)), dtype=dtype, device=z.device)
        return log_probs, weights.fill_diagonal_(1.0 / n_inputs).log()
