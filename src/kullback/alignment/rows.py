"""Some rows of a batch of Gaussians, converted to float64 a part at a time, so that little memory is taken."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian

# How many numbers of a mean, or of a matrix, are converted at a time.
_NUMBERS_PER_BATCH = 2**17


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a batch ``(N,)`` that an index says, in its order."""

    gaussian: Gaussian
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    @property
    def dimensions(self) -> int:
        """The number of coordinates."""
        return self.gaussian.event_size

    def first(self, n: int) -> "Rows":
        """The first ``n`` of these rows."""
        return Rows(self.gaussian, self.index[:n])

    def parts(self) -> Iterator[Gaussian]:
        """These rows in parts, as :meth:`converted` gives them."""
        d = self.dimensions
        per_row = d if self.gaussian.scale.is_diagonal else d * d
        for index in self.index.split(max(1, _NUMBERS_PER_BATCH // per_row)):
            yield Rows(self.gaussian, index).converted()

    def converted(self) -> Gaussian:
        """These rows as :func:`in_full` gives them, with one event dimension."""
        return flattened(in_full(self.gaussian[self.index.to(self.gaussian.device)]))


def in_full(g: Gaussian) -> Gaussian:
    """The same Gaussians in float64 on the CPU, detached, with every parameter in full shape.

    They are built anew from tensors, so that results are tensors even if the caller works with NumPy arrays.
    """
    cast = g.detach().cast(torch.float64, torch.device("cpu"))

    def full(x: Tensor, event_dims: int) -> Tensor:
        event = g.event_shape if g.scale.is_diagonal else x.shape[x.ndim - event_dims :]
        return x.broadcast_to(g.batch_shape + event)

    scale = cast.scale.map(full, g.event_dims)
    return Gaussian(cast.mean.broadcast_to(g.batch_shape + g.event_shape), scale, g.event_dims)


def flattened(g: Gaussian) -> Gaussian:
    """The same Gaussians with one event dimension."""
    return _with_shapes(g, lambda x: x.flatten(x.ndim - g.event_dims), 1) if g.event_dims > 1 else g


def with_event(g: Gaussian, event: torch.Size) -> Gaussian:
    """Gaussians with one event dimension in the shape of this event."""
    return _with_shapes(g, lambda x: x.unflatten(-1, event), len(event)) if len(event) > 1 else g


def _with_shapes(g: Gaussian, shaped: Callable[[Tensor], Tensor], event_dims: int) -> Gaussian:
    full = g.batch_shape + g.event_shape
    scale = g.scale.map(lambda x, _: shaped(x.broadcast_to(full)), g.event_dims)
    return Gaussian(shaped(g.mean.broadcast_to(full)), scale, event_dims, g.array_kind)
