"""A stored column with its name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kullback.io.formats.registry import safely
from kullback.io.places import Place

if TYPE_CHECKING:
    from kullback.io.stored import Column, Stored


@dataclass(frozen=True)
class NamedColumn:
    """A stored column, and what messages call it."""

    name: str
    stored: "Stored"

    def rows(self, path: Place, start: int, stop: int, size: int) -> "Iterator[Column]":
        """Consecutive rows in batches; whatever is wrong with the file is a :class:`PosteriorFileError`."""
        batches = self.stored.batches(start, stop, size)
        while True:
            batch = safely(path, lambda: next(batches, None))
            if batch is None:
                return
            yield batch
