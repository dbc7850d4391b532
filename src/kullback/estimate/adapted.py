"""What a density of another library declares of itself, once a file ``*_densities.py`` has adapted it."""

import abc

import torch
from torch import Tensor

from kullback.numerics.arrays import ArrayKind


class Adapted(abc.ABC):
    """A single density."""

    event_shape: torch.Size | None = None
    """The shape of a point; None where it takes points of several shapes."""
    array_kind = ArrayKind.NUMPY
    """What its library computes with."""

    @abc.abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """The log-densities at points."""

    @abc.abstractmethod
    def sample(self, n: int) -> Tensor:
        """``n`` points, by torch's generator."""

    def beside(self, _event: torch.Size | None) -> "Adapted":
        """The same density, with points of the event shape of another where it takes points of several shapes."""
        return self
