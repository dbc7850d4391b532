"""The posteriors of one model, one for each input, and the rows that two models share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from kullback.errors import PosteriorFileError
from kullback.gaussians.gaussian import Gaussian
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.formats.registry import Column


@dataclass(frozen=True)
class Posteriors:
    """The posteriors of one model: a Gaussian for each row, and the ids of the rows if there are any.

    ``images`` loads a column of one image for each row; the rows of the column at ``order`` are those of the Gaussian.
    """

    name: str
    source: str
    gaussian: Gaussian
    ids: list[Any] | None = None
    images: "Callable[[], Column] | None" = None
    order: list[int] | None = None

    def __len__(self) -> int:
        return len(self.gaussian)

    def image_rows(self, rows: Iterable[int]) -> "list[Any]":
        """What the column of images contains for some rows; empty without such a column.

        A column of that name that cannot be read, or has another number of rows, is none.
        """
        if self.images is None:
            return []
        try:
            column = self.images()
        except (PosteriorFileError, MemoryError):
            return []
        if not column.ndim or len(column) != len(self):
            return []
        return [column[row if self.order is None else self.order[row]] for row in rows]

    def with_images(self, images: Any) -> "Posteriors":
        """The same with an image for each row."""
        return replace(self, images=lambda: images, order=None)

    def with_images_of(self, other: "Posteriors") -> "Posteriors":
        """The same with the images of another model for the same inputs, if it has some and this has none."""
        if self.images is not None or other.images is None:
            return self
        order = other.order
        if self.ids is not None and other.ids is not None:
            rows = {key: row for row, key in enumerate(other.ids)}
            if not all(key in rows for key in self.ids):
                return self
            order = [rows[key] if order is None else order[rows[key]] for key in self.ids]
        return replace(self, images=other.images, order=order)

    def reordered(self, order: list[int]) -> "Posteriors":
        """The same with the rows in this order."""
        ids = None if self.ids is None else [self.ids[row] for row in order]
        return replace(self, gaussian=self.gaussian[torch.tensor(order)], ids=ids, order=order)


def joined(a: Posteriors, b: Posteriors) -> tuple[list[Any], Posteriors, Posteriors]:
    """The ids of the rows of a and b, and both with their rows in this order.

    Rows are joined by their ids if both have some, and by order otherwise.

    Raises:
        PosteriorFileError: if the rows cannot be joined: event shapes, numbers of rows, or ids differ.
    """
    if a.gaussian.event_shape != b.gaussian.event_shape:
        raise PosteriorFileError(
            f"{a.source} and {b.source}: latent shapes differ, {tuple(a.gaussian.event_shape)} and "
            f"{tuple(b.gaussian.event_shape)}. A divergence needs two Gaussians on the same space."
        )
    if a.ids is None or b.ids is None:
        if len(a) != len(b):
            raise PosteriorFileError(
                f"{a.source} has {len(a)} rows, {b.source} has {len(b)}. To join by order, both need the same number "
                "of rows; to join by identity, both need a column 'id'."
            )
        return a.ids or b.ids or list(range(len(a))), a, b
    rows = {key: row for row, key in enumerate(b.ids)}
    missing = [key for key in a.ids if key not in rows]
    if missing or len(a.ids) != len(b.ids):
        lacking, source = (missing, b.source) if missing else (sorted(rows.keys() - set(a.ids), key=str), a.source)
        raise PosteriorFileError(
            f"{source}: lacks {len(lacking)} of the ids of the other file, first {printable(lacking[0])!r}. "
            "To join rows by order instead: --by-order."
        )
    return a.ids, a, b if a.ids == b.ids else b.reordered([rows[key] for key in a.ids])
