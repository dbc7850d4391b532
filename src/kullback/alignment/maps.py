"""Affine maps of Gaussians, and the divergences that are left after one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.alignment.rows import Rows
from kullback.divergences.kl import kl_divergence, kl_terms
from kullback.gaussians.gaussian import Gaussian
from kullback.pairs.dispatch import marginals


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
    """What is left of each row's divergence, and of the coordinates of q alone.

    ``rows``, of shape ``(N,)``, is the divergence, and ``marginal``, of shape ``(N, d)``, that of the marginals.
    """

    rows: Tensor
    marginal: Tensor

    @property
    def from_correlations(self) -> Tensor:
        """What the marginals do not explain: for a diagonal q the total correlation of the mapped Gaussian."""
        return self.rows - self.marginal.sum(-1)


def remainder(p: Gaussian, q: Gaussian, g: Map) -> Remainder:
    """KL(g·p‖q) of each row in its parts; for diagonal p and q, of shape ``(N, d)``, without any matrix per row."""
    if not (p.scale.is_diagonal and q.scale.is_diagonal):
        mapped = g.applied(p)
        terms = kl_terms(marginals(mapped), marginals(q))
        return Remainder(kl_divergence(mapped, q), terms.mean + terms.covariance)
    if g.is_signed_permutation:
        terms = kl_terms(g.permuted(p), q)
        marginal = terms.mean + terms.covariance
        return Remainder(marginal.sum(-1), marginal)
    mean, logvar = p.flat_parameters("logvar")
    spread = torch.exp(logvar) @ g.matrix.square().mT
    terms = kl_terms(Gaussian.from_variance(mean @ g.matrix.mT + g.shift, spread, validate=False), q)
    marginal = terms.mean + terms.covariance
    volume = logvar.sum(-1) + 2.0 * torch.linalg.slogdet(g.matrix)[1]
    # By Hadamard's inequality it is not negative; rounding alone could make it so.
    total_correlation = 0.5 * (spread.log().sum(-1) - volume).clamp(min=0.0)
    return Remainder(marginal.sum(-1) + total_correlation, marginal)


def divergences(p: Rows, q: Rows, g: Map) -> Tensor:
    """KL(g·p‖q) of each row."""
    return torch.cat([remainder(*pair, g).rows for pair in zip(p.parts(), q.parts(), strict=True)])
