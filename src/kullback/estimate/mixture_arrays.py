"""Batches of mixtures as float64 arrays of their components, and closed forms for all pairs of components.

The first dimension of every array counts the pairs of mixtures of a batch, which go through each formula at once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.all_pairs.pairwise import pairwise
from kullback.divergences.api import check_shapes
from kullback.divergences.kl import kl_divergence
from kullback.errors import ShapeError
from kullback.estimate.densities import Foreign, as_density
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture, as_mixture
from kullback.gaussians.mixture_density import log_mixture
from kullback.gaussians.scales.base import MatrixScale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.numerics.arrays import ArrayKind, common_array_kind, from_callers_type, to_callers_type
from kullback.numerics.linear_algebra import cholesky, solve_lower_vector
from kullback.numerics.tensors import broadcast_shapes, common_device, compute_dtype, no_autocast

# Elements of the scales of the pairs of components that are computed at once.
_TILE_ELEMENTS = 2**20


def map_batch(p: Any, q: Any, function: Callable[["MixtureArrays", "MixtureArrays"], tuple[Tensor, ...]]) -> list[Any]:
    """Apply a function of mixtures to the broadcast batch of p and q, as many pairs at once as memory allows.

    Args:
        p: a mixture or a Gaussian, or a batch of them.
        q: another one.
        function: what takes the arrays of B pairs of mixtures to tensors ``(B,)``.

    Returns:
        The results of the function, each of the broadcast batch shape, in the dtype and the kind of array of p and q.

    Raises:
        ShapeError: if the events differ, the batches do not broadcast, or the batch is empty.
        TypeError: if p or q is not a mixture of Gaussians.
    """
    p, q = _density(p, "p"), _density(q, "q")
    f, g = as_mixture(p), as_mixture(q)
    check_shapes(p, q)
    batch = broadcast_shapes(f.batch_shape, g.batch_shape)
    if not batch.numel():
        raise ShapeError(f"p and q are an empty batch {tuple(batch)}: there is no pair to compare.")
    tensors = [x for mixture in (f, g) for x in mixture.components.tensors()]
    dtype, device = compute_dtype(tensors), common_device(tensors)
    is_diagonal = f.components.scale.is_diagonal and g.components.scale.is_diagonal
    size = max(f.event_size, 1) ** (1 if is_diagonal else 2)
    step = max(1, _TILE_ELEMENTS // (size * (f.n_components + g.n_components) ** 2))
    with no_autocast(device):
        places = torch.arange(batch.numel(), device=device).split(step)
        parts = [function(*(MixtureArrays.of(mixture, batch, at, device) for mixture in (f, g))) for at in places]
        results = [torch.cat(x).reshape(batch).to(dtype) for x in zip(*parts, strict=True)]
    kind = common_array_kind((p.array_kind, q.array_kind))
    return [to_callers_type(x, kind) for x in results]


def _density(x: Any, name: str) -> Gaussian | Mixture:
    density = as_density(x, name)
    if isinstance(density, Foreign):
        got = type(x).__name__
        raise TypeError(f"{name} must be a Mixture or a Gaussian, got {got}. kl_estimate takes any density.")
    return density


@dataclass(frozen=True, eq=False)
class MixtureArrays:
    """B mixtures of K components in d coordinates as float64 arrays."""

    log_weights: Tensor  # (B, K)
    batches: tuple[Gaussian, ...]  # components, each (B, k); the k add up to K
    mean: Tensor  # (B, K, d)
    scale: Tensor  # (B, K, d), variances, if all components are diagonal; else (B, K, d, d), covariances
    log_det: Tensor  # (B, K), of the covariances

    @classmethod
    def of(cls, mixture: Mixture, batch: torch.Size, at: Tensor, device: torch.device) -> "MixtureArrays":
        """Those of a mixture that, expanded to ``batch``, are at places ``at``, counted along the flattened batch."""
        shape, k, d = batch or torch.Size([1]), mixture.n_components, mixture.event_size
        where = torch.unravel_index(at, shape)
        log_weights = mixture.log_weights.to(dtype=torch.float64, device=device).expand(*shape, k)[where]
        components = mixture.components.cast(torch.float64, device).expand((*shape, k))[where]
        components = components.with_array_kind(ArrayKind.TORCH)
        log_det = 2.0 * components.scale.half_log_det(components.event_shape).expand(components.batch_shape)
        if isinstance(components.scale, Diagonal):
            mean, scale = components.flat_parameters("variance")
        else:
            assert isinstance(components.scale, MatrixScale)
            mean = components.mean.expand(*components.batch_shape, d)
            scale = components.scale.covariance().expand(*components.batch_shape, d, d)
        # A weight of 0 is replaced by 1e-304, whose logarithm is finite.
        return cls(log_weights.clamp(min=-700.0), (components,), mean, scale, log_det)

    @classmethod
    def even_mixture(cls, f: "MixtureArrays", g: "MixtureArrays") -> "MixtureArrays":
        """The mixtures of f and g with equal weights."""
        scales = [f.scale, g.scale] if f.diagonal == g.diagonal else [f.matrices(), g.matrices()]
        return cls(
            torch.cat([f.log_weights, g.log_weights], 1) - math.log(2.0),
            f.batches + g.batches,
            torch.cat([f.mean, g.mean], 1),
            torch.cat(scales, 1),
            torch.cat([f.log_det, g.log_det], 1),
        )

    @property
    def weights(self) -> Tensor:
        """The weights, ``(B, K)``."""
        return self.log_weights.exp()

    @property
    def d(self) -> int:
        """The number of coordinates."""
        return self.mean.shape[-1]

    @property
    def diagonal(self) -> bool:
        """Whether all components are diagonal."""
        return self.scale.ndim == 3

    @property
    def entropies(self) -> Tensor:
        """The entropies of the components, ``(B, K)``."""
        return 0.5 * (self.d * (1.0 + math.log(2 * math.pi)) + self.log_det)

    @property
    def has_nan(self) -> Tensor:
        """Whether a parameter is NaN, ``(B,)``."""
        parts = [x.flatten(1).isnan().any(1) for x in (self.log_weights, self.mean, self.scale)]
        return torch.stack(parts).any(0)

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density at n points of each mixture, ``(B, n, d)``: ``(B, n)``."""
        log_weights = self.log_weights.split([g.batch_shape[1] for g in self.batches], 1)
        step = max(1, _TILE_ELEMENTS // (self.mean.numel() or 1))
        of_batches = []
        for w, g in zip(log_weights, self.batches, strict=True):
            points = x.reshape(*x.shape[:2], *g.event_shape)
            if len(x) == 1:
                of_batches.append(log_mixture(w[0], g[0], points[0])[None])
            else:
                of_batches.append(torch.cat([log_mixture(w, g, part) for part in points.movedim(1, 0).split(step)]).mT)
        return torch.logsumexp(torch.stack(of_batches), 0)

    def matrices(self) -> Tensor:
        """The covariance matrices of the components, ``(B, K, d, d)``."""
        return self.scale.diag_embed() if self.diagonal else self.scale


def divergences(f: MixtureArrays, g: MixtureArrays) -> Tensor:
    """The Kullback–Leibler divergences of all components of f from all of g, ``(B, K_f, K_g)``."""

    def of_batches(a: Gaussian, b: Gaussian) -> Tensor:
        # One pair of mixtures may have many components, for which there is a faster way.
        value = pairwise(a[0], b[0])[None] if len(a) == 1 else kl_divergence(a[:, :, None], b[:, None])
        return from_callers_type(value)

    return torch.cat([torch.cat([of_batches(a, b) for b in g.batches], 2) for a in f.batches], 1)


def log_integrals(f: MixtureArrays, g: MixtureArrays, a: Tensor, b: Tensor, chosen: Tensor | None = None) -> Tensor:
    r"""The integrals :math:`\log \int f_i^{a_i} g_j^{b_i}` for all pairs of components, ``(..., B, K_f, K_g)``.

    With :math:`M = a \Sigma_j + b \Sigma_i` they are

    .. math:: \tfrac d2 (1 - a - b) \log 2\pi + \tfrac{1 - a}2 \log\det\Sigma_i + \tfrac{1 - b}2 \log\det\Sigma_j
        - \tfrac12 \log\det M - \tfrac{ab}2 \Delta^\top M^{-1} \Delta .

    Args:
        f: the first mixtures.
        g: the second ones.
        a: an exponent for each component of f, or several, ``(..., B, K_f)``.
        b: the same.
        chosen: for each component of f the indices of some components of g, ``(B, K_f, k)``: only these pairs then.
    """
    diagonal, d = f.diagonal and g.diagonal, f.d
    scale_f, scale_g = (x.scale if diagonal else x.matrices() for x in (f, g))
    terms = _diagonal_terms if diagonal else _matrix_terms
    a, b = a[..., None], b[..., None]
    per_pair = a[..., 0, 0].numel() * scale_f[0, 0].numel()
    per_row = per_pair * (g.mean.shape[1] if chosen is None else chosen.shape[2])
    step = max(1, _TILE_ELEMENTS // max(1, per_row))
    tiles = []
    for start in range(0, f.mean.shape[1], step):
        i = slice(start, start + step)
        log_det_g, mean_g, cov_g = (
            x[:, None] if chosen is None else picked(x, chosen[:, i]) for x in (g.log_det, g.mean, scale_g)
        )
        of_a, of_b = a[..., i, :], b[..., i, :]
        log_dets = (1.0 - of_a) * f.log_det[:, i, None] + (1.0 - of_b) * log_det_g
        tiles.append(log_dets - terms(f.mean[:, i, None], scale_f[:, i, None], mean_g, cov_g, of_a, of_b))
    return 0.5 * (d * (1.0 - a - b) * math.log(2 * math.pi) + torch.cat(tiles, -2))


def picked(x: Tensor, chosen: Tensor) -> Tensor:
    """Of each mixture the components that are chosen: ``(B, K_g, ...)`` to ``(B, K_f, k, ...)``."""
    return x[torch.arange(len(x), device=x.device)[:, None, None], chosen]


def _diagonal_terms(mean_f: Tensor, var_f: Tensor, mean_g: Tensor, var_g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The terms of M, times -2, for variances."""
    m = a[..., None] * var_g + b[..., None] * var_f
    return (m.log() + (a * b)[..., None] * (mean_f - mean_g).square() / m).sum(-1)


def _matrix_terms(mean_f: Tensor, cov_f: Tensor, mean_g: Tensor, cov_g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The terms of M, times -2, for covariance matrices."""
    factor = cholesky(a[..., None, None] * cov_g + b[..., None, None] * cov_f)
    whitened = solve_lower_vector(factor, mean_f - mean_g)
    return 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + a * b * whitened.square().sum(-1)
