"""Posteriors in memory, checked row by row as those of files are."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import POSITIVE, Diagonal, Isotropic
from kullback.io.model import TOLD, Model, ModelBatch, Posteriors


def checked(model: Model) -> Model:
    """A model of which every row that is not possible is told; one that was read from a file is so already."""
    if not isinstance(model, Posteriors) or model.ids is not None:
        return model
    return Checked(model.name, model.source, model.gaussian, images=model.images)


@dataclass(frozen=True, eq=False)
class Checked(Posteriors):
    """Posteriors in memory without ids, whose values nobody has looked at."""

    def batches(self, start: int, stop: int, size: int, *, skip: bool = False) -> Iterator[ModelBatch]:
        """Slices.

        Raises:
            ValueError: for a value that is not possible, unless ``skip`` is true.
        """
        first = start
        for batch in super().batches(start, stop, size):
            g = batch.gaussian
            wrong = {name: bad for name, x, low in _values(g) if (bad := _impossible(x, low)) is not None}
            if wrong:
                bad = torch.stack([_rows(x) for x in wrong.values()]).any(0)
                places = [self._told(g, wrong, row, first) for row in bad.nonzero().flatten().tolist()[:TOLD]]
                if not skip:
                    raise ValueError(f"{places[0]} on_bad='skip' leaves such rows out.")
                batch = ModelBatch(g, bad, tuple(places))
            yield batch
            first += len(g)

    def _told(self, g: Gaussian, wrong: dict[str, Tensor], row: int, first: int) -> str:
        """The first value of a row that is not possible."""
        name = next(name for name, bad in wrong.items() if bad[row].any())
        index = tuple(wrong[name][row].nonzero()[0].tolist())
        value = next(x for other, x, _ in _values(g) if other == name)[row][index].item()
        at = f"{self.source}: row {first + row:,}, dimension {','.join(map(str, index))}"
        return f"{at}: {value:g} is not a valid {name} (rows and dimensions are counted from 0)."


def _values(g: Gaussian) -> list[tuple[str, Tensor, float]]:
    """The mean and what the scale was given as, by row and name, each with what all of its values are above."""
    rows = len(g)
    found = [("mean", g.mean.detach().expand(rows, *g.event_shape), -torch.inf)]
    if isinstance(g.scale, Diagonal):
        kind = g.scale.parameterization
        # A number may be too small, or too large, for the dtype of the means.
        value = torch.tensor(g.scale.number, dtype=torch.float64) if isinstance(g.scale, Isotropic) else g.scale.value
        low = 0.0 if kind in POSITIVE else -torch.inf
        return [*found, (kind, value.detach().expand(rows, *g.event_shape), low)]
    for x, dims in g.scale.parts(g.event_dims):
        found.append((g.scale.parameterization, x.detach().expand(rows, *x.shape[x.ndim - dims :]), -torch.inf))
    return found


def _impossible(x: Tensor, low: float) -> Tensor | None:
    """A mask of the values that are not finite, or not above the lowest; None if all are."""
    lowest, highest = torch.aminmax(x)
    if torch.isfinite(lowest) and torch.isfinite(highest) and lowest > low:
        return None
    return ~(torch.isfinite(x) & (x > low))


def _rows(bad: Tensor) -> Tensor:
    return bad.flatten(1).any(1).cpu()
