"""The divergences of rows of diagonals, and what their terms add up to: what a summary of many rows needs."""

import torch

from kullback.divergences.kl import kl_terms
from kullback.gaussians.gaussian import Gaussian
from kullback.kernels.choice import accelerated_kl_sums
from kullback.kernels.protocol import Sums
from kullback.numerics.arrays import from_callers_type


def kl_sums(p: Gaussian, q: Gaussian) -> Sums:
    """KL(p‖q) of rows ``(N,)`` of diagonals, and the sums over rows of both terms of each coordinate.

    They are computed in float64, whatever p and q are; one of them may be a single Gaussian.
    """
    sums = accelerated_kl_sums(p, q)
    if sums is None:
        p, q = p.to(torch.float64), q.to(torch.float64)
        sums = accelerated_kl_sums(p, q)
    if sums is None:
        mean, covariance = map(from_callers_type, kl_terms(p, q))
        sums = Sums((mean + covariance).flatten(1).sum(1), mean.sum(0), covariance.sum(0))
    return sums
