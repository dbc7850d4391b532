"""Two mixtures in float64, component by component: what bounds and approximations are made of."""

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
from kullback.numerics.arrays import ArrayKind, common_array_kind, to_callers_type
from kullback.numerics.linear_algebra import cholesky, solve_lower_vector
from kullback.numerics.tensors import broadcast_shapes, common_device, compute_dtype, no_autocast

# Numbers of a tile of pairs.
_NUMBERS = 2**20


def map_batch(p: Any, q: Any, function: Callable[["MixtureArrays", "MixtureArrays"], tuple[Tensor, ...]]) -> list[Any]:
    """What a function of two single mixtures gives, each result of the broadcast batch shape of p and q.

    Raises:
        ShapeError: if the events differ or the batches do not broadcast.
        TypeError: for anything that is no mixture of Gaussians.
    """
    p, q = _density(p, "p"), _density(q, "q")
    f, g = _mixture(p), _mixture(q)
    check_shapes(p, q)
    batch = broadcast_shapes(f.batch_shape, g.batch_shape)
    if not batch.numel():
        raise ShapeError(f"p and q are an empty batch {tuple(batch)}: there is no pair.")
    parts = [f.components, g.components]
    tensors = [x for g in parts for x in g.tensors()]
    dtype, device = compute_dtype(tensors), common_device(tensors)
    with no_autocast(device):
        sides = zip(_unbind(f, batch, device), _unbind(g, batch, device), strict=True)
        found = zip(*(function(*pair) for pair in sides), strict=True)
        results = [torch.stack(x).reshape(batch).to(dtype) for x in found]
    kind = common_array_kind((p.array_kind, q.array_kind))
    return [to_callers_type(x, kind) for x in results]


def _density(x: Any, name: str) -> Gaussian | Mixture:
    density = as_density(x, name)
    if isinstance(density, Foreign):
        got = type(x).__name__
        raise TypeError(f"{name} must be a Mixture or a Gaussian, got {got}: kl_estimate takes any density.")
    return density


def _mixture(x: Gaussian | Mixture) -> Mixture:
    """A Gaussian is a mixture of one."""
    if isinstance(x, Mixture):
        return x
    one = x if x.tensors() else x.to()
    return Mixture.from_logits(torch.zeros(1, dtype=compute_dtype(one.tensors()), device=one.device), one[..., None])


@dataclass(frozen=True, eq=False)
class MixtureArrays:
    """One mixture in float64: its weights, and what integrals need of its components."""

    log_weights: Tensor  # (K,)
    parts: tuple[Gaussian, ...]  # whose components follow each other
    mean: Tensor  # (K, d)
    scale: Tensor  # variances of diagonals, (K, d), covariances of others
    log_det: Tensor  # (K,)

    @classmethod
    def of(cls, log_weights: Tensor, components: Gaussian) -> "MixtureArrays":
        """Of a single mixture."""
        d, k = components.event_size, len(components)
        log_det = 2.0 * components.scale.half_log_det(components.event_shape).expand(components.batch_shape)
        # Here, where gradients are recorded.
        if isinstance(components.scale, Diagonal):
            mean, scale = components.flat_parameters("variance")
        else:
            assert isinstance(components.scale, MatrixScale)
            mean, scale = components.mean.expand(k, d), components.scale.covariance().expand(k, d, d)
        # A weight of 0 is as good as one of 1e-304, and its logarithm is a number.
        return cls(log_weights.clamp(min=-700.0), (components,), mean, scale, log_det)

    @classmethod
    def even_mixture(cls, f: "MixtureArrays", g: "MixtureArrays") -> "MixtureArrays":
        """The mixture of two, one half of each."""
        scales = [f.scale, g.scale] if f.diagonal == g.diagonal else [f.matrices(), g.matrices()]
        return cls(
            torch.cat([f.log_weights, g.log_weights]) - math.log(2.0),
            f.parts + g.parts,
            torch.cat([f.mean, g.mean]),
            torch.cat(scales),
            torch.cat([f.log_det, g.log_det]),
        )

    @property
    def weights(self) -> Tensor:
        """The weights."""
        return self.log_weights.exp()

    @property
    def d(self) -> int:
        """How many coordinates."""
        return self.mean.shape[1]

    @property
    def diagonal(self) -> bool:
        """Are all components diagonal?"""
        return self.scale.ndim == 2

    @property
    def entropies(self) -> Tensor:
        """Of the components."""
        return 0.5 * (self.d * (1.0 + math.log(2 * math.pi)) + self.log_det)

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density at points ``(n, d)``."""
        weights = self.log_weights.split([len(g) for g in self.parts])
        each = [log_mixture(w, g, x.reshape(-1, *g.event_shape)) for w, g in zip(weights, self.parts, strict=True)]
        return torch.logsumexp(torch.stack(each), 0)

    def matrices(self) -> Tensor:
        """Covariance matrices."""
        return self.scale.diag_embed() if self.diagonal else self.scale


def divergences(f: MixtureArrays, g: MixtureArrays) -> Tensor:
    """The divergence of each component of f from each of g, exactly."""
    return torch.cat([torch.cat([torch.as_tensor(pairwise(a, b)) for b in g.parts], 1) for a in f.parts])


def _unbind(mixture: Mixture, batch: torch.Size, device: torch.device) -> list[MixtureArrays]:
    size = mixture.n_components
    g = mixture.components.cast(torch.float64, device)
    log_weights = mixture.log_weights.to(dtype=torch.float64, device=device).expand(*batch, size)
    whole = g.expand((*batch, size)).with_array_kind(ArrayKind.TORCH)
    return [MixtureArrays.of(log_weights[i], whole[i]) for i in itertools.product(*map(range, batch))]


def log_integrals(f: MixtureArrays, g: MixtureArrays, a: Tensor, b: Tensor) -> Tensor:
    r""":math:`\log \int f_i^{a_i} g_j^{b_i}` for each pair, in tiles: with :math:`M = a \Sigma_j + b \Sigma_i`,

    .. math:: \tfrac d2 (1 - a - b) \log 2\pi + \tfrac{1 - a}2 \log\det\Sigma_i + \tfrac{1 - b}2 \log\det\Sigma_j
        - \tfrac12 \log\det M - \tfrac{ab}2 \Delta^\top M^{-1} \Delta .
    """
    diagonal, d = f.diagonal and g.diagonal, f.d
    scale_p, scale_q = (x.scale if diagonal else x.matrices() for x in (f, g))
    terms = _axis_terms if diagonal else _matrix_terms
    step = max(1, _NUMBERS // (scale_q.numel() or 1))
    parts = (slice(i, i + step) for i in range(0, len(f.mean), step))
    tiles = [terms(f.mean[i, None], scale_p[i, None], g.mean, scale_q, a[i, None], b[i, None]) for i in parts]
    a, b = a[:, None], b[:, None]
    constant = 0.5 * d * (1.0 - a - b) * math.log(2 * math.pi)
    return constant + 0.5 * (1.0 - a) * f.log_det[:, None] + 0.5 * (1.0 - b) * g.log_det - 0.5 * torch.cat(tiles)


def _axis_terms(mean_p: Tensor, v_p: Tensor, mean_q: Tensor, v_q: Tensor, a: Tensor, b: Tensor) -> Tensor:
    m = a[..., None] * v_q + b[..., None] * v_p
    return (m.log() + (a * b)[..., None] * (mean_p - mean_q).square() / m).sum(-1)


def _matrix_terms(mean_p: Tensor, cov_p: Tensor, mean_q: Tensor, cov_q: Tensor, a: Tensor, b: Tensor) -> Tensor:
    factor = cholesky(a[..., None, None] * cov_q + b[..., None, None] * cov_p)
    y = solve_lower_vector(factor, mean_p - mean_q)
    return 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + a * b * y.square().sum(-1)
