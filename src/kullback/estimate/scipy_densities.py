"""Densities of ``scipy.stats`` that are no Gaussians: frozen continuous distributions, and ``gaussian_kde``."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kullback.errors import ShapeError
from kullback.estimate.adapted import Adapted
from kullback.numerics.classes import class_names


@dataclass(frozen=True)
class OfNumbers(Adapted):
    """A density of numbers, to which points of one coordinate are numbers, too."""

    distribution: Any
    point_shape: tuple[int, ...] = ()
    """The shape of the points that are drawn: numbers, or vectors of one coordinate."""

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-densities at points ``(n, 1)``, or at numbers ``(n,)``."""
        numbers = x.detach().double().cpu()
        if x.ndim > 1:
            if x.shape[-1] != 1:
                raise ShapeError(f"a one-dimensional distribution of scipy got points of {x.shape[-1]} coordinates.")
            numbers = numbers[..., 0]
        return torch.from_numpy(self.distribution.logpdf(numbers.reshape(-1).numpy())).to(x).reshape(numbers.shape)

    def sample(self, n: int) -> Tensor:
        """``n`` points, by torch's generator."""
        points = _resampled(self.distribution, n) if _is_of_kernels(self.distribution) else _drawn(self.distribution, n)
        return points.reshape(n, *self.point_shape)

    def beside(self, event: torch.Size | None) -> "OfNumbers":
        """One whose points are vectors where those of the other density are vectors of one coordinate."""
        return replace(self, point_shape=(1,)) if event == (1,) else self


@dataclass(frozen=True)
class OfVectors(Adapted):
    """A distribution with ``logpdf`` and ``rvs``, to which points are rows."""

    distribution: Any

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-densities at points ``(..., d)``."""
        return torch.from_numpy(self.distribution.logpdf(x.detach().double().numpy())).to(x.dtype)

    def sample(self, n: int) -> Tensor:
        """``n`` points, by torch's generator."""
        return _drawn(self.distribution, n)


@dataclass(frozen=True)
class OfKernels(Adapted):
    """A kernel density estimate in several coordinates, to which points are columns."""

    distribution: Any

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-densities at points ``(..., d)``."""
        columns = x.detach().double().reshape(-1, x.shape[-1]).mT.numpy()
        return torch.from_numpy(self.distribution.logpdf(columns)).to(x.dtype).reshape(x.shape[:-1])

    def sample(self, n: int) -> Tensor:
        """``n`` points, by torch's generator."""
        return _resampled(self.distribution, n)


def from_scipy(x: Any, name: str) -> Any:
    """A distribution of scipy as an object with ``log_prob`` and ``sample``; anything else as it is.

    Raises:
        TypeError: for a distribution that has not been frozen.
    """
    names = class_names(x, "scipy.stats")
    if not names:
        return x
    if "rv_histogram" in names:  # has its parameters before it is frozen
        return OfNumbers(x())
    if _is_of_kernels(x):
        return OfNumbers(x) if x.d == 1 else OfKernels(x)
    if not (callable(getattr(x, "logpdf", None)) and callable(getattr(x, "rvs", None))):
        return x
    if callable(x):  # with parameters, of which it makes a frozen one
        called = type(x).__name__.removesuffix("_gen")
        raise TypeError(f"{name} is {type(x).__name__}, of no parameters yet: freeze it, {called}(...).")
    return OfNumbers(x) if hasattr(x, "dist") else OfVectors(x)


def _is_of_kernels(x: Any) -> bool:
    return callable(getattr(x, "resample", None))


def _drawn(distribution: Any, n: int) -> Tensor:
    return torch.from_numpy(distribution.rvs(size=n, random_state=_seed()))


def _resampled(kernels: Any, n: int) -> Tensor:
    return torch.from_numpy(kernels.resample(n, seed=_seed())).mT.contiguous()


def _seed() -> int:
    return int(torch.randint(2**31, ()))
