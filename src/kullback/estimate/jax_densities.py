"""Densities of NumPyro, distrax and TensorFlow Probability that are no Gaussians: arrays in, keys for seeds."""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.errors import ShapeError
from kullback.estimate.adapted import Adapted
from kullback.numerics.arrays import from_callers_type
from kullback.numerics.classes import class_names


@dataclass(frozen=True)
class OfJax(Adapted):
    """A single density of one of these libraries."""

    distribution: Any
    library: str

    @property
    def event_shape(self) -> torch.Size:  # type: ignore[override]
        """The event shape."""
        return torch.Size(tuple(self.distribution.event_shape))

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-densities, in the dtype that the library computes in."""
        dtype = getattr(self.distribution, "dtype", None)
        points = np.asarray(x.detach().cpu().numpy(), dtype=getattr(dtype, "as_numpy_dtype", dtype))
        return from_callers_type(self.distribution.log_prob(points))

    def sample(self, n: int) -> Tensor:
        """``n`` points, by a key of torch's generator."""
        seed = int(torch.randint(2**31, ()))
        if self.library == "distrax":
            return from_callers_type(self.distribution.sample(seed=seed, sample_shape=(n,)))
        on_jax = self.library == "numpyro" or class_names(self.distribution, f"{self.library}.substrates.jax")
        # Imported where its distributions are seen, and so imported already.
        key = importlib.import_module("jax").random.PRNGKey(seed) if on_jax else seed
        if self.library == "numpyro":
            return from_callers_type(self.distribution.sample(key, (n,)))
        return from_callers_type(self.distribution.sample(n, seed=key))


def from_jax(x: Any, name: str) -> Any:
    """A distribution of these libraries as an object with ``log_prob`` and ``sample``; anything else as it is.

    Raises:
        ShapeError: for a batch.
    """
    for library in ("numpyro", "distrax", "tensorflow_probability"):
        if "Distribution" in class_names(x, library):
            if tuple(x.batch_shape):
                raise ShapeError(
                    f"{name} is a batch {tuple(x.batch_shape)} of {library} distributions. Ask for each of them, or "
                    "declare the dimensions that are coordinates: to_event(n) in NumPyro, Independent elsewhere."
                )
            return OfJax(x, library)
    return x
