"""Affine maps of Gaussians, and the divergences that are left after one."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.alignment.rows import Rows, in_full
from kullback.divergences.kl import kl_divergence
from kullback.divergences.row_sums import kl_sums
from kullback.gaussians.gaussian import Gaussian
from kullback.pairs.dispatch import marginals

# How many numbers of means, or of matrices, are mapped at a time: their temporary copies stay in the caches.
_NUMBERS = 2**16


@dataclass(frozen=True, eq=False)
class Map:
    """The map x -> A x + b, in float64 on the CPU."""

    matrix: Tensor
    shift: Tensor

    @classmethod
    def identity(cls, d: int) -> "Map":
        """The map that changes nothing."""
        eye = torch.eye(d, dtype=torch.float64, device="cpu")
        return cls(eye, torch.zeros_like(eye[0]))

    @classmethod
    def linear(cls, matrix: Tensor) -> "Map":
        """A map without a shift."""
        return cls(matrix, torch.zeros_like(matrix[0]))

    @property
    def is_signed_permutation(self) -> bool:
        """Whether it permutes coordinates and changes signs, and does nothing else."""
        entries = self.matrix.abs()
        one = (entries == 1.0).sum(0) == 1
        return bool(((entries == 0.0) | (entries == 1.0)).all() and one.all() and not self.shift.any())

    @functools.cached_property
    def log_volume(self) -> Tensor:
        """The logarithm of the factor by which it changes volumes."""
        volume: Tensor = torch.linalg.slogdet(self.matrix)[1]
        return volume

    def inverse(self) -> "Map":
        """The map back."""
        back = torch.linalg.inv(self.matrix)
        return Map(back, -(back @ self.shift))

    def applied(self, p: Gaussian) -> Gaussian:
        """Gaussians with one event dimension after the map; diagonal ones stay so after a signed permutation."""
        if self.is_signed_permutation and p.scale.is_diagonal:
            return self.permuted(p)
        return p.affine(self.matrix, self.shift)

    def permuted(self, p: Gaussian) -> Gaussian:
        """A diagonal Gaussian with one event dimension after a signed permutation: it stays diagonal."""
        chosen = self.matrix.abs().argmax(1).to(p.mean.device)
        signs = self.matrix.sum(1).to(p.mean)
        moved = p.marginal(chosen.tolist())
        return Gaussian(moved.mean * signs, moved.scale, 1, p.array_kind)


@dataclass(frozen=True, eq=False)
class Remainder:
    """What is left of the divergences of rows ``(N,)``, in float64."""

    rows: Tensor
    """The divergence of each row."""
    from_correlations: Tensor
    """What the marginals do not explain of it: for a diagonal q the total correlation of the mapped Gaussian."""
    marginals: Tensor
    """The sum over rows of the divergences of the marginals, ``(d,)``."""


def remainder(p: Gaussian, q: Gaussian, g: Map) -> Remainder:
    """KL(g·p‖q) of each row, and its parts; for diagonal p and q without any matrix per row."""
    is_diagonal = p.scale.is_diagonal and q.scale.is_diagonal
    if is_diagonal and g.is_signed_permutation:
        sums = kl_sums(g.permuted(p), q)
        return Remainder(sums.values, torch.zeros_like(sums.values), sums.from_means + sums.from_variances)
    step = max(1, _NUMBERS // p.event_size ** (1 if is_diagonal else 2))
    some = _of_diagonals if is_diagonal else _of_others
    parts = [some(p[i : i + step], q[i : i + step], g) for i in range(0, max(1, len(p)), step)]
    rows, correlations, marginals_of_parts = zip(
        *((x.rows, x.from_correlations, x.marginals) for x in parts), strict=True
    )
    return Remainder(torch.cat(rows), torch.cat(correlations), torch.stack(marginals_of_parts).sum(0))


def _of_diagonals(p: Gaussian, q: Gaussian, g: Map) -> Remainder:
    mean, logvar = in_full(p).flat_parameters("logvar")
    spread = (logvar.exp() @ g.matrix.square().mT).log()
    sums = kl_sums(Gaussian.from_logvar(mean @ g.matrix.mT + g.shift, spread, validate=False), q)
    # By Hadamard's inequality it is not negative; rounding alone could make it so.
    total_correlation = 0.5 * (spread.sum(-1) - (logvar.sum(-1) + 2.0 * g.log_volume)).clamp(min=0.0)
    return Remainder(sums.values + total_correlation, total_correlation, sums.from_means + sums.from_variances)


def _of_others(p: Gaussian, q: Gaussian, g: Map) -> Remainder:
    mapped = g.applied(in_full(p))
    rows = kl_divergence(mapped, in_full(q))
    sums = kl_sums(marginals(mapped), marginals(q))
    return Remainder(rows, rows - sums.values, sums.from_means + sums.from_variances)


def divergences(p: Rows, q: Rows, g: Map) -> Tensor:
    """KL(g·p‖q) of each row."""
    return torch.cat([remainder(*pair, g).rows for pair in zip(p.parts(), q.parts(), strict=True)])
