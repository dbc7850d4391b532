"""The terms of the closed form, in which mistakes are made."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Parameters(NamedTuple):
    """Means ``(*batch, d)``, and variances of the same shape or covariances ``(*batch, d, d)``."""

    mean: Tensor
    covariance: Tensor

    @property
    def is_diagonal(self) -> bool:
        """Whether they are variances."""
        return self.covariance.ndim == self.mean.ndim

    def standard(self) -> "Parameters":
        """Those of N(0, I), of the same shape."""
        ones = torch.ones_like(self.mean)
        return Parameters(torch.zeros_like(self.mean), ones if self.is_diagonal else ones.diag_embed())


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of the closed form ½(log_det − d + trace + square), each of the shape of the batch."""

    log_det: Tensor
    trace: Tensor
    square: Tensor
    d: int
    coordinates: "Coordinates | None"
    """What each coordinate contributes, if the Gaussians are diagonal."""

    @classmethod
    def of(cls, p: Parameters, q: Parameters) -> "Terms":
        """The terms of KL(p‖q)."""
        delta, d = p.mean - q.mean, p.mean.shape[-1]
        if p.is_diagonal:
            x = Coordinates(delta, p.covariance, q.covariance)
            log_det = (x.var_q.log() - x.var_p.log()).sum(-1)
            return cls(log_det, (x.var_p / x.var_q).sum(-1), (delta.square() / x.var_q).sum(-1), d, x)
        # A misread matrix may be singular: its terms are infinite or NaN, and give no value.
        y, _ = torch.linalg.solve_ex(q.covariance, torch.cat([p.covariance, delta.unsqueeze(-1)], -1))
        trace = y[..., :-1].diagonal(dim1=-2, dim2=-1).sum(-1)
        log_det = torch.logdet(q.covariance) - torch.logdet(p.covariance)
        return cls(log_det, trace, (delta * y[..., -1]).sum(-1), d, None)


class Coordinates(NamedTuple):
    """The differences of the means and the variances of diagonal Gaussians, ``(*batch, d)``."""

    delta: Tensor
    var_p: Tensor
    var_q: Tensor

    @property
    def std_p(self) -> Tensor:
        """The standard deviations of p."""
        return self.var_p.sqrt()

    @property
    def std_q(self) -> Tensor:
        """The standard deviations of q."""
        return self.var_q.sqrt()
