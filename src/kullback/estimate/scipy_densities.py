"""Densities of ``scipy.stats`` that are no Gaussians: frozen continuous distributions, and ``gaussian_kde``."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.errors import ShapeError
from kullback.estimate.adapted import Adapted
from kullback.numerics.classes import class_names


@dataclass(frozen=True)
class OfScipy(Adapted):
    """A distribution with ``logpdf`` and ``rvs``: of numbers, to which points of one coordinate are numbers, too; or of
    points.
    """

    distribution: Any

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-densities at points ``(n, d)``, or at numbers ``(n,)``."""
        points = x.detach().double().numpy()
        if hasattr(self.distribution, "dist") and x.ndim > 1:
            if x.shape[-1] != 1:
                raise ShapeError(f"a one-dimensional distribution of scipy got points of {x.shape[-1]} coordinates.")
            points = points[..., 0]
        return torch.from_numpy(self.distribution.logpdf(points)).to(x.dtype)

    def sample(self, n: int) -> Tensor:
        """``n`` points, by torch's generator."""
        return torch.from_numpy(self.distribution.rvs(size=n, random_state=_seed()))


@dataclass(frozen=True)
class OfKernels(Adapted):
    """A kernel density estimate, to which points are columns."""

    distribution: Any

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-densities at points ``(..., d)``."""
        columns = x.detach().double().reshape(-1, x.shape[-1]).mT.numpy()
        return torch.from_numpy(self.distribution.logpdf(columns)).to(x.dtype).reshape(x.shape[:-1])

    def sample(self, n: int) -> Tensor:
        """``n`` points, by torch's generator."""
        return torch.from_numpy(self.distribution.resample(n, seed=_seed())).mT.contiguous()


def from_scipy(x: Any, _name: str) -> Any:
    """A distribution of scipy as an object with ``log_prob`` and ``sample``; anything else as it is."""
    if not class_names(x, "scipy.stats"):
        return x
    if callable(getattr(x, "resample", None)):
        return OfKernels(x)
    return OfScipy(x) if callable(getattr(x, "logpdf", None)) and callable(getattr(x, "rvs", None)) else x


def _seed() -> int:
    return int(torch.randint(2**31, ()))
