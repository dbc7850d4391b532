"""Mixtures as float64 arrays of their components, and closed forms for all pairs of components of two mixtures."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.all_pairs.pairwise import pairwise
from kullback.divergences.api import check_shapes
from kullback.errors import ShapeError
from kullback.estimate.densities import Foreign, as_density
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.gaussians.mixture_density import log_mixture
from kullback.gaussians.scales.base import MatrixScale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.numerics.arrays import ArrayKind, common_array_kind, from_callers_type, to_callers_type
from kullback.numerics.linear_algebra import cholesky, solve_lower_vector
from kullback.numerics.tensors import broadcast_shapes, common_device, compute_dtype, no_autocast

# Elements of the scales of the pairs of components that are computed at once.
_TILE_ELEMENTS = 2**20


def map_batch(p: Any, q: Any, function: Callable[["MixtureArrays", "MixtureArrays"], tuple[Tensor, ...]]) -> list[Any]:
    """Apply a function of two single mixtures to each pair of the broadcast batch of p and q.

    Returns:
        The results of the function, each of the broadcast batch shape, in the dtype and the kind of array of p and q.

    Raises:
        ShapeError: if the events differ, the batches do not broadcast, or the batch is empty.
        TypeError: if p or q is not a mixture of Gaussians.
    """
    p, q = _density(p, "p"), _density(q, "q")
    f, g = _mixture(p), _mixture(q)
    check_shapes(p, q)
    batch = broadcast_shapes(f.batch_shape, g.batch_shape)
    if not batch.numel():
        raise ShapeError(f"p and q are an empty batch {tuple(batch)}: there is no pair to compare.")
    tensors = [x for mixture in (f, g) for x in mixture.components.tensors()]
    dtype, device = compute_dtype(tensors), common_device(tensors)
    with no_autocast(device):
        pairs = zip(_unbind(f, batch, device), _unbind(g, batch, device), strict=True)
        columns = zip(*(function(*pair) for pair in pairs), strict=True)
        results = [torch.stack(x).reshape(batch).to(dtype) for x in columns]
    kind = common_array_kind((p.array_kind, q.array_kind))
    return [to_callers_type(x, kind) for x in results]


def _density(x: Any, name: str) -> Gaussian | Mixture:
    density = as_density(x, name)
    if isinstance(density, Foreign):
        got = type(x).__name__
        raise TypeError(f"{name} must be a Mixture or a Gaussian, got {got}. kl_estimate takes any density.")
    return density


def _mixture(x: Gaussian | Mixture) -> Mixture:
    """``x`` as a mixture; a Gaussian is a mixture of one component."""
    if isinstance(x, Mixture):
        return x
    one = x if x.tensors() else x.to()
    return Mixture.from_logits(torch.zeros(1, dtype=compute_dtype(one.tensors()), device=one.device), one[..., None])


@dataclass(frozen=True, eq=False)
class MixtureArrays:
    """A single mixture as float64 arrays."""

    log_weights: Tensor  # (K,)
    batches: tuple[Gaussian, ...]  # batches of components, K together
    mean: Tensor  # (K, d)
    scale: Tensor  # (K, d), variances, if all components are diagonal; else (K, d, d), covariances
    log_det: Tensor  # (K,), of the covariances

    @classmethod
    def of(cls, log_weights: Tensor, components: Gaussian) -> "MixtureArrays":
        """The arrays of a single mixture."""
        d, k = components.event_size, len(components)
        log_det = 2.0 * components.scale.half_log_det(components.event_shape).expand(components.batch_shape)
        if isinstance(components.scale, Diagonal):
            mean, scale = components.flat_parameters("variance")
        else:
            assert isinstance(components.scale, MatrixScale)
            mean, scale = components.mean.expand(k, d), components.scale.covariance().expand(k, d, d)
        # A weight of 0 is replaced by 1e-304, whose logarithm is finite.
        return cls(log_weights.clamp(min=-700.0), (components,), mean, scale, log_det)

    @classmethod
    def even_mixture(cls, f: "MixtureArrays", g: "MixtureArrays") -> "MixtureArrays":
        """The mixture of f and g with equal weights."""
        scales = [f.scale, g.scale] if f.diagonal == g.diagonal else [f.matrices(), g.matrices()]
        return cls(
            torch.cat([f.log_weights, g.log_weights]) - math.log(2.0),
            f.batches + g.batches,
            torch.cat([f.mean, g.mean]),
            torch.cat(scales),
            torch.cat([f.log_det, g.log_det]),
        )

    @property
    def weights(self) -> Tensor:
        """The weights, ``(K,)``."""
        return self.log_weights.exp()

    @property
    def d(self) -> int:
        """The number of coordinates."""
        return self.mean.shape[1]

    @property
    def diagonal(self) -> bool:
        """Whether all components are diagonal."""
        return self.scale.ndim == 2

    @property
    def entropies(self) -> Tensor:
        """The entropies of the components, ``(K,)``."""
        return 0.5 * (self.d * (1.0 + math.log(2 * math.pi)) + self.log_det)

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density at points ``(n, d)``."""
        log_weights = self.log_weights.split([len(g) for g in self.batches])
        of_batches = [
            log_mixture(w, g, x.reshape(-1, *g.event_shape)) for w, g in zip(log_weights, self.batches, strict=True)
        ]
        return torch.logsumexp(torch.stack(of_batches), 0)

    def matrices(self) -> Tensor:
        """The covariance matrices of the components, ``(K, d, d)``."""
        return self.scale.diag_embed() if self.diagonal else self.scale


def divergences(f: MixtureArrays, g: MixtureArrays) -> Tensor:
    """The Kullback–Leibler divergences of all components of f from all of g, ``(K_f, K_g)``."""
    return torch.cat([torch.cat([from_callers_type(pairwise(a, b)) for b in g.batches], 1) for a in f.batches])


def _unbind(mixture: Mixture, batch: torch.Size, device: torch.device) -> list[MixtureArrays]:
    """The single mixtures of a batch, after expansion to ``batch``."""
    size = mixture.n_components
    components = mixture.components.cast(torch.float64, device)
    log_weights = mixture.log_weights.to(dtype=torch.float64, device=device).expand(*batch, size)
    components = components.expand((*batch, size)).with_array_kind(ArrayKind.TORCH)
    return [MixtureArrays.of(log_weights[i], components[i]) for i in itertools.product(*map(range, batch))]


def log_integrals(f: MixtureArrays, g: MixtureArrays, a: Tensor, b: Tensor, chosen: Tensor | None = None) -> Tensor:
    r"""The integrals :math:`\log \int f_i^{a_i} g_j^{b_i}` for all pairs of components, ``(K_f, K_g)``.

    With :math:`M = a \Sigma_j + b \Sigma_i` they are

    .. math:: \tfrac d2 (1 - a - b) \log 2\pi + \tfrac{1 - a}2 \log\det\Sigma_i + \tfrac{1 - b}2 \log\det\Sigma_j
        - \tfrac12 \log\det M - \tfrac{ab}2 \Delta^\top M^{-1} \Delta .

    Args:
        f: the first mixture.
        g: the second one.
        a: an exponent for each component of f, ``(K_f,)``.
        b: the same.
        chosen: for each component of f the indices of some components of g, ``(K_f, k)``: only these pairs then.
    """
    diagonal, d = f.diagonal and g.diagonal, f.d
    scale_f, scale_g = (x.scale if diagonal else x.matrices() for x in (f, g))
    terms = _diagonal_terms if diagonal else _matrix_terms
    per_row = scale_g[0].numel() * (len(scale_g) if chosen is None else chosen.shape[1])
    step = max(1, _TILE_ELEMENTS // max(1, per_row))
    tiles = []
    for i in (slice(start, start + step) for start in range(0, len(f.mean), step)):
        of_g = (g.mean, scale_g) if chosen is None else (g.mean[chosen[i]], scale_g[chosen[i]])
        tiles.append(terms(f.mean[i, None], scale_f[i, None], *of_g, a[i, None], b[i, None]))
    log_det_g = g.log_det if chosen is None else g.log_det[chosen]
    a, b = a[:, None], b[:, None]
    constant = 0.5 * d * (1.0 - a - b) * math.log(2 * math.pi)
    return constant + 0.5 * (1.0 - a) * f.log_det[:, None] + 0.5 * (1.0 - b) * log_det_g - 0.5 * torch.cat(tiles)


def _diagonal_terms(mean_f: Tensor, var_f: Tensor, mean_g: Tensor, var_g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The terms of M, times -2, for variances."""
    m = a[..., None] * var_g + b[..., None] * var_f
    return (m.log() + (a * b)[..., None] * (mean_f - mean_g).square() / m).sum(-1)


def _matrix_terms(mean_f: Tensor, cov_f: Tensor, mean_g: Tensor, cov_g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The terms of M, times -2, for covariance matrices."""
    factor = cholesky(a[..., None, None] * cov_g + b[..., None, None] * cov_f)
    whitened = solve_lower_vector(factor, mean_f - mean_g)
    return 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + a * b * whitened.square().sum(-1)
