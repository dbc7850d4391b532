"""Which models of which files are read: what a caller states beside the names in the files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from kullback.errors import PosteriorFileError
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.io.columns import Named
from kullback.io.model import Model
from kullback.io.posteriors import open_posteriors


@dataclass(frozen=True)
class Reading:
    """What is read from files."""

    scale: Parameterization | None = None
    """The parameterization to read if the names of columns do not determine it: of ``sigma``, or of several scales."""
    labels: tuple[str, ...] = ()
    """The labels of the models, for files that contain several."""
    by_order: bool = False
    """Whether ids of rows are left out, so that rows are joined by order."""
    named: tuple[Named, ...] = ()
    """The columns of every model, or of each, where their names say nothing."""
    ids: tuple[str, ...] = ()
    """The names of the columns that identify the rows of every model, or of each."""

    def models(self, paths: Sequence[str | os.PathLike[str]]) -> list[Model]:
        """One model of each file; or of a single file those that it contains, one or two.

        Raises:
            PosteriorFileError: if a file does not contain the model, or the labels or the names of columns are not one
                for each.
        """
        if len(paths) == 1:
            return self._models_of(paths[0])
        labels: Sequence[str | None] = self.labels or [None] * len(paths)
        named = self.named if len(self.named) > 1 else self.named * len(paths)
        if len(labels) != len(paths) or len(named) not in (0, len(paths)) or len(self.ids) not in (0, 1, len(paths)):
            raise PosteriorFileError(
                f"{len(paths)} files hold one model each: give one label, or the columns of one model, for each."
            )
        files = [open_posteriors(path, named[i : i + 1], by_label=bool(self.labels)) for i, path in enumerate(paths)]
        return [
            file.model(label, scale=self.scale, ids=self._ids(number))
            for number, (file, label) in enumerate(zip(files, labels, strict=True))
        ]

    def _models_of(self, path: str | os.PathLike[str]) -> list[Model]:
        file = open_posteriors(path, self.named, by_label=bool(self.labels))
        chosen: Sequence[str | None] = self.labels or [None]
        # The models of a file with exactly two need no labels. For more, model(None) raises an error that asks
        # for them.
        if not self.labels and len(file.models) == 2 and not file.is_wide:
            chosen = list(file.models)
        if len(self.ids) not in (0, 1, len(chosen)):
            raise PosteriorFileError(
                f"{file.where}: {len(chosen)} models have {len(self.ids)} names of ids; give one each."
            )
        return [file.model(label, scale=self.scale, ids=self._ids(number)) for number, label in enumerate(chosen)]

    def _ids(self, number: int) -> bool | str:
        """Whether ids of a model are read, or the name of their column."""
        return self.ids[number if len(self.ids) > 1 else 0] if self.ids else not self.by_order
