"""The posteriors of models from files: their columns are found by name, checked, and joined row by row."""

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import POSITIVE, Parameterization
from kullback.io.columns import ModelColumns, id_column, image_column, models, scale_column
from kullback.io.covariances import covariance_column, with_covariances
from kullback.io.formats.registry import naming, open_columns, safely
from kullback.io.numbers import real_tensor
from kullback.io.text import printable
from kullback.numerics.arrays import FLOATING

if TYPE_CHECKING:
    from kullback.io.formats.registry import Column, Columns


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
        except PosteriorFileError:
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


@dataclass(frozen=True)
class PosteriorFile:
    """A file and the models in it, by name. A column is read when it is needed."""

    path: Path
    columns: "Columns"
    models: dict[str, ModelColumns]

    @property
    def where(self) -> str:
        """The name of the file, for error messages."""
        return printable(self.path)

    def name_of(self, label: str | None) -> str:
        """The name of the model with this label; without a label, of the only model.

        Raises:
            PosteriorFileError: if no model has the label, or there are several models and no label.
        """
        if label is None and len(self.models) == 1:
            return next(iter(self.models))
        for name, columns in self.models.items():
            if label is not None and label in (name, columns.label):
                return name
        held = ", ".join(repr(printable(name)) for name in self.models)
        if label is not None:
            raise PosteriorFileError(f"{self.where}: no model {printable(label)!r}; it holds {held}.")
        if self.is_wide:
            means = ", ".join(repr(printable(columns.mean)) for columns in list(self.models.values())[:3])
            raise PosteriorFileError(
                f"{self.where}: columns {means}, … hold single numbers. If they are coordinates of one model, put the "
                "means of a row into one list column 'mu', and the scales likewise. If each is a model, choose with "
                "--models."
            )
        raise PosteriorFileError(f"{self.where}: holds {len(self.models)} models ({held}). Choose with --models.")

    @property
    def is_wide(self) -> bool:
        """Whether the columns look like single coordinates of one model rather than like several models."""
        models = list(self.models.values())
        return len(models) > 1 and all(m.label.isdigit() for m in models) and self.column(models[0].mean).ndim == 1

    def column(self, name: str) -> "Column":
        """A column as it is stored in the file."""
        return safely(self.path, self.columns[name])

    def numbers(self, name: str) -> Tensor:
        """A column as a floating-point tensor of shape ``(N, *event)``; an event has at least one dimension."""
        x = safely(self.path, lambda: real_tensor(self.columns[name](), name))
        if x.dtype not in FLOATING:
            x = x.to(torch.float64)
        return x.unsqueeze(1) if x.ndim == 1 else x

    def posteriors(
        self, label: str | None = None, *, scale: Parameterization | None = None, ids: bool = True
    ) -> Posteriors:
        """The posteriors of the model with this label; without a label, of the only model.

        Args:
            label: the name or label of the model.
            scale: the parameterization to read if the names of columns do not determine it.
            ids: whether to read the ids of rows.

        Raises:
            PosteriorFileError: if the file does not contain them, or a value is not possible.
        """
        name = self.name_of(label)
        columns = self.models[name]
        full = self._with_covariances(columns, scale)
        if full is not None:
            key = (
                id_column(self.columns, columns.label, [model.label for model in self.models.values()]) if ids else None
            )
            rows = None if key is None else _ids(self.column(key), key, len(full))
            return Posteriors(name, self.where, full, rows)
        with naming(self.path):
            scale_name, parameterization = scale_column(columns, scale)
            labels = [model.label for model in self.models.values()]
            key = id_column(self.columns, columns.label, labels) if ids else None
            mean, value = self.numbers(columns.mean), self.numbers(scale_name)
            if mean.shape != value.shape:
                raise PosteriorFileError(
                    f"columns {columns.mean!r} and {scale_name!r} differ in shape, {tuple(mean.shape)} and "
                    f"{tuple(value.shape)}; each mean needs one scale."
                )
            _check_values(mean, columns.mean, None)
            _check_values(value, scale_name, parameterization)
            rows = None if key is None else _ids(self.column(key), key, len(mean))
        make = getattr(Gaussian, f"from_{parameterization}")
        gaussian = make(mean, value, event_dims=mean.ndim - 1, validate=False)
        pictures = image_column(self.columns)
        images = None if pictures is None else functools.partial(self.column, pictures)
        return Posteriors(name, self.where, gaussian, rows, images)

    def _with_covariances(self, columns: ModelColumns, scale: Parameterization | None) -> Gaussian | None:
        """The Gaussians of a model whose scale is covariances; None for other columns."""
        column = covariance_column(columns, scale)
        if column is None:
            return None
        mean, matrix = (
            safely(self.path, functools.partial(lambda n: real_tensor(self.columns[n](), n), name))
            for name in (columns.mean, column)
        )
        with naming(self.path):
            return with_covariances(mean, matrix, columns.mean, column)


def open_posteriors(path: str | os.PathLike[str]) -> PosteriorFile:
    """The models in a file of any format in ``formats/`` that may contain posteriors.

    Columns are found by their names: ``mu|mean|loc`` and ``std|stddev|scale``, ``var|variance``, ``logvar|log_var`` or
    ``log_std|log_sigma|log_scale``, optionally with the label of a model (``mu_1``, ``beta.logvar``); ``id`` identifies
    rows. Each column has the shape ``(N, *event)``, with one row for each input. ``cov|covariance``, or a ``sigma`` of
    one dimension more than the mean, holds covariances ``(N, d, d)``, or one ``(d, d)`` beside one mean ``(d,)``.

    Raises:
        PosteriorFileError: if the file does not exist, is damaged, or does not contain posteriors.
    """
    path = Path(path)
    columns = open_columns(path, "posteriors")
    with naming(path):
        found = models(columns)
    named = {}
    for model in found:
        name = path.stem if len(found) == 1 else model.label or path.stem
        named[f"model {name}" if name.isdigit() else name] = model
    return PosteriorFile(path, columns, named)


def read_posteriors(path: str | os.PathLike[str], *, scale: Parameterization | None = None) -> Posteriors:
    """The posteriors of the only model in a file.

    Args:
        path: the file; see :func:`open_posteriors`.
        scale: the parameterization to read if the names do not determine it: of ``sigma``, or of several scales.

    Raises:
        PosteriorFileError: if the file does not contain exactly one model, or a value is not possible.
    """
    return open_posteriors(path).posteriors(scale=scale)


def read_pair(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str] | None = None,
    *,
    scale: Parameterization | None = None,
    labels: tuple[str, str] | None = None,
    by_order: bool = False,
) -> tuple[list[Any], Posteriors, Posteriors]:
    """The ids of the rows of two models, and both models with their rows in this order.

    Args:
        a: the file of the first model, or of both.
        b: the file of the second model.
        scale: as for :func:`read_posteriors`.
        labels: the labels of the two models, for files that contain several.
        by_order: join rows by order even if there are ids.

    Raises:
        PosteriorFileError: if a file does not contain the model, or the rows cannot be joined.
    """
    first_file = open_posteriors(a)
    second_file = first_file if b is None else open_posteriors(b)
    chosen: tuple[str | None, str | None] = labels or (None, None)
    if b is None and labels is None:
        names = list(first_file.models)
        if len(names) == 1:
            raise PosteriorFileError(f"{first_file.where}: holds one model. Give a second file.")
        # The models of a file with exactly two need no labels. For others, posteriors(None) raises an error that asks
        # for them.
        if len(names) == 2 and not first_file.is_wide:
            chosen = (names[0], names[1])
    p, q = (
        file.posteriors(label, scale=scale, ids=not by_order)
        for file, label in zip((first_file, second_file), chosen, strict=True)
    )
    return joined(p, q)


def distinct_names(names: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Names of models that are all different: where they are not, with their folders, or else A, B, …."""
    folders = [Path(os.path.abspath(source)).parent.name for source in sources]
    with_folders = [f"{printable(folder)}/{name}" for folder, name in zip(folders, names, strict=True)]
    letters = [chr(ord("A") + i) if i < 26 else f"model {i + 1}" for i in range(len(names))]
    return next(list(found) for found in (names, with_folders, letters) if len(set(found)) == len(found))


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


def _check_values(x: Tensor, name: str, parameterization: Parameterization | None) -> None:
    """Raise an error that locates the first value that is not possible for a scale, or for a mean (None)."""
    bad = ~torch.isfinite(x)
    if parameterization in POSITIVE:
        bad |= x <= 0
    if not bad.any():
        return
    row, *index = bad.nonzero()[0].tolist()
    value = x[row][tuple(index)].item()
    place = f"column {printable(name)!r}, row {row}, dimension {','.join(map(str, index))}: {value:g}"
    hint = ""
    if parameterization in POSITIVE and value < 0:
        hint = " Is it a log-variance? Then rename the column to logvar; if it is called sigma, say --scale logvar."
    raise PosteriorFileError(
        f"{place} is not a valid {parameterization or 'mean'} (rows and dimensions are counted from 0).{hint}"
    )


def _ids(column: "Column", name: str, rows: int) -> list[Any]:
    """A column as a list of ids: integers or strings, one for each row, all different."""
    values = column.tolist()
    if not isinstance(values, list) or len(values) != rows:
        raise PosteriorFileError(f"column {printable(name)!r} must hold one id for each of the {rows} rows.")
    kind = str if isinstance(values[0], str) else int
    wrong = next((row for row, v in enumerate(values) if not isinstance(v, kind) or isinstance(v, bool)), None)
    if wrong is not None:
        raise PosteriorFileError(
            f"column {printable(name)!r}, row {wrong}: {printable(values[wrong])!r}; ids must be all integers or "
            "all strings."
        )
    if len(set(values)) != rows:
        twice = next(v for v, count in Counter(values).items() if count > 1)
        raise PosteriorFileError(
            f"column {printable(name)!r}: {printable(twice)!r} occurs more than once; ids must be unique."
        )
    return values
