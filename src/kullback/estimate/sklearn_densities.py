"""scikit-learn's ``KernelDensity``, which has ``score_samples`` and ``sample``."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.estimate.adapted import Adapted
from kullback.numerics.classes import class_names


@dataclass(frozen=True)
class OfSklearn(Adapted):
    """A kernel density estimate, to which points are rows."""

    distribution: Any

    @property
    def event_shape(self) -> torch.Size:  # type: ignore[override]
        """Vectors of as many coordinates as the points that it was fitted to."""
        return torch.Size([self.distribution.tree_.data.shape[1]])

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-densities at points ``(..., d)``."""
        rows = x.detach().double().reshape(-1, x.shape[-1]).cpu().numpy()
        return torch.from_numpy(self.distribution.score_samples(rows)).reshape(x.shape[:-1])

    def sample(self, n: int) -> Tensor:
        """``n`` points, by torch's generator."""
        return torch.from_numpy(self.distribution.sample(n, random_state=int(torch.randint(2**31, ()))))


def from_sklearn(x: Any, name: str) -> Any:
    """A kernel density estimate as an object with ``log_prob`` and ``sample``; anything else as it is.

    Raises:
        ValueError: if it has not been fitted.
    """
    if "KernelDensity" not in class_names(x, "sklearn"):
        return x
    if not hasattr(x, "tree_"):
        raise ValueError(f"{name} is a {type(x).__name__} that has not been fitted: call fit first.")
    return OfSklearn(x)
