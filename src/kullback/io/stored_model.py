"""The posteriors of a model whose columns are stored."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import POSITIVE, Parameterization
from kullback.io.advice import OTHER_IDS
from kullback.io.columns import role
from kullback.io.formats.registry import naming, safely
from kullback.io.ids import ids_of_column
from kullback.io.missing import shown
from kullback.io.model import TOLD, Model, ModelBatch, rows_of_images
from kullback.io.named_column import NamedColumn
from kullback.io.numbers import real_tensor
from kullback.io.places import Place
from kullback.io.stored import check_room
from kullback.io.text import printable
from kullback.numerics.arrays import FLOATING

if TYPE_CHECKING:
    from kullback.io.stored import Column, Stored


@dataclass(frozen=True, eq=False)
class StoredModel(Model):
    """A mean and a scale for each row, of which none is read before it is asked for."""

    name: str
    source: str
    path: Place
    mean: NamedColumn
    scale: NamedColumn
    kind: Parameterization
    key: NamedColumn | None = None
    """The ids of the rows."""
    images: "Stored | None" = None
    others: tuple[NamedColumn, ...] = ()

    def __len__(self) -> int:
        return len(self.mean.stored)

    @property
    def event_shape(self) -> torch.Size:
        """The shape of a row; of single numbers (1,)."""
        return torch.Size(self.mean.stored.shape[1:] or (1,))

    @property
    def numbers_per_row(self) -> int:
        """The number of coordinates."""
        return self.event_shape.numel()

    @property
    def id_name(self) -> str:  # type: ignore[override]
        """The name of the column of ids."""
        return "id" if self.key is None else self.key.name

    @property
    def has_ids(self) -> bool:
        """Whether a column identifies the rows."""
        return self.key is not None

    @property
    def breaks(self) -> Sequence[int]:
        """Those of the column with the fewest."""
        columns = (self.mean, self.scale, *([] if self.key is None else [self.key]))
        return min((column.stored.breaks for column in columns), key=len)

    def ids_of(self, start: int, stop: int, size: int) -> Iterator[Sequence[Any]]:
        """The ids, which are integers or strings."""
        assert self.key is not None
        return ids_of_column(self.key, self.path, start, stop, size)

    def batches(self, start: int, stop: int, size: int, *, skip: bool = False) -> Iterator[ModelBatch]:
        """Rows of both columns in step."""
        first = start
        for columns in zip(
            self.mean.rows(self.path, start, stop, size), self.scale.rows(self.path, start, stop, size), strict=True
        ):
            with naming(self.path):
                batch = self._batch(*columns, first=first, skip=skip)
            first += len(batch.gaussian)
            yield batch

    def _batch(self, means: "Column", scales: "Column", *, first: int, skip: bool) -> ModelBatch:
        mean, scale = (numbers_of(x, of.name) for x, of in ((means, self.mean), (scales, self.scale)))
        places: dict[int, str] = {}
        bad = None
        for x, of, kind in ((mean, self.mean, None), (scale, self.scale, self.kind)):
            wrong = _impossible(x, kind)
            if wrong is None:
                continue
            if not skip:
                told = _told(x, wrong, of, kind, first)
                is_negative = kind in POSITIVE and x[wrong][0] < 0
                raise PosteriorFileError(told + (f" {self._hint()}" if is_negative else ""))
            rows = wrong.flatten(1).any(1)
            for row in rows.nonzero().flatten().tolist()[:TOLD]:
                places.setdefault(row, _told(x, wrong, of, kind, first, row=row))
            bad = rows if bad is None else bad | rows
        if mean.shape != scale.shape:
            scale = scale.reshape(len(mean), *[1] * (mean.ndim - 1)).expand(mean.shape)
        make = getattr(Gaussian, f"from_{self.kind}")
        gaussian: Gaussian = make(mean, scale, event_dims=mean.ndim - 1, validate=False)
        return ModelBatch(gaussian, bad, tuple(places[row] for row in sorted(places)[:TOLD]))

    def _hint(self) -> str:
        """What to do about a negative scale."""
        mean, scale = self.mean.name, self.scale.name
        if (role(scale) or ("",))[0] == "sigma":
            return "Is it a log-variance? Then say --scale logvar (in Python, scale='logvar')."
        if " … " in scale:
            return "Are these log-variances? Then call the columns logvar_0, logvar_1, …."
        option = f"--mean {shlex.quote(printable(mean))} --logvar {shlex.quote(printable(scale))}"
        return f"Is it a log-variance? Then say {option} (in Python, rename it to 'logvar')."

    def image_rows(self, rows: Iterable[int]) -> "list[Any]":
        """What the column of images contains for some rows."""
        return [] if self.images is None else rows_of_images(self.images, rows, len(self))

    def read(self) -> Gaussian:
        """All rows, if there is room for them."""
        safely(
            self.path,
            lambda: check_room(f"{self.source}: reading all rows at once", self.mean.stored, self.scale.stored),
        )
        return super().read()


def not_unique(name: str, twice: Any) -> str:
    """What an error says of ids that are not unique."""
    return f"column {printable(name)!r}: {printable(twice)!r} occurs more than once; ids must be unique. {OTHER_IDS}"


def numbers_of(column: "Column", name: str) -> Tensor:
    """A column as a floating-point tensor of shape ``(N, *event)``; an event has at least one dimension."""
    x = real_tensor(column, name)
    if x.dtype not in FLOATING:
        x = x.to(torch.float64)
    return x.unsqueeze(1) if x.ndim == 1 else x


def _impossible(x: Tensor, kind: Parameterization | None) -> Tensor | None:
    """A mask of the values that are not possible for a scale, or for a mean (None); None if all are."""
    low, high = torch.aminmax(x)
    if torch.isfinite(low) and torch.isfinite(high) and (kind not in POSITIVE or low > 0):
        return None
    bad = ~torch.isfinite(x)
    if kind in POSITIVE:
        bad |= x <= 0
    return bad


def _told(
    x: Tensor,
    bad: Tensor,
    of: NamedColumn,
    kind: Parameterization | None,
    first: int,
    *,
    row: int | None = None,
) -> str:
    """The place and the value of the first number that is not possible, or of the first in a row of the batch."""
    if row is None:
        row = int(bad.flatten(1).any(1).nonzero()[0])
    index = bad[row].nonzero()[0].tolist()
    value = x[row][tuple(index)].item()
    place = f"column {printable(of.name)!r}, {of.stored.place(first + row)}, dimension {','.join(map(str, index))}"
    return f"{place}: {shown(value)} is not a valid {kind or 'mean'} (rows and dimensions are counted from 0)."
