"""The ways of giving a scale, and Gaussians of each; declared here once."""

import torch

from kullback import Gaussian

D = 3
"""The coordinates of a Gaussian that ``build`` makes."""

DIAGONAL = ("std", "variance", "logvar")
MATRICES = ("covariance", "scale_tril", "precision", "low_rank")
KINDS = (*DIAGONAL, *MATRICES)
MAKE = {kind: getattr(Gaussian, f"from_{kind}") for kind in KINDS}
"""The constructors."""


def build(kind: str, mean: torch.Tensor, raw: torch.Tensor) -> Gaussian:
    """A Gaussian of this kind from unconstrained numbers ``(*batch, d, d)``; no cell of the table is near another."""
    eye = torch.eye(D, dtype=raw.dtype, device=raw.device)
    small = 0.15 * torch.tanh(raw)
    if kind in DIAGONAL:
        log_std = small.sum(-1)
        value = {"std": log_std.exp, "variance": lambda: (2 * log_std).exp(), "logvar": lambda: 2 * log_std}[kind]()
        return MAKE[kind](mean, value)
    if kind == "low_rank":
        return Gaussian.from_low_rank(mean, small[..., :1], (2 * small[..., 1]).exp())
    factor = eye + small.tril()
    if kind == "scale_tril":
        return Gaussian.from_scale_tril(mean, factor)
    matrix = factor @ factor.mT
    return MAKE[kind](mean, matrix)


def operands(dtype=torch.float64, batch=(2,), seed=0):
    g = torch.Generator().manual_seed(seed)
    shapes = [(*batch, D), (*batch, D, D)] * 2
    return tuple((0.5 * torch.randn(s, generator=g, dtype=torch.float64)).to(dtype) for s in shapes)


def as_matrices(p: Gaussian, shift=None, transform=None) -> Gaussian:
    cov = p.covariance_matrix
    if transform is None:
        return Gaussian.from_covariance(p.mean, cov)
    return Gaussian.from_covariance(p.mean @ transform.T + shift, transform @ cov @ transform.T)
