"""The posteriors of models from files: their columns are found by name, and checked."""

import contextlib
import functools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import POSITIVE, Parameterization
from kullback.io.arrays import open_files, parts
from kullback.io.columns import (
    ModelColumns,
    Named,
    id_column,
    image_column,
    models,
    named_model,
    scale_column,
)
from kullback.io.covariances import covariance_column, with_covariances
from kullback.io.formats.registry import Unnamed, naming, safely, table_suffixes
from kullback.io.model import Posteriors
from kullback.io.numbers import real_tensor
from kullback.io.text import printable, unwritable_row
from kullback.numerics.arrays import FLOATING

if TYPE_CHECKING:
    from kullback.io.formats.registry import Column, Columns

# How many models, or shapes of columns, a message lists.
_MAX_LISTED = 12


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
        held = ", ".join(repr(printable(name)) for name in list(self.models)[:_MAX_LISTED])
        held += ", …" * (len(self.models) > _MAX_LISTED)
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
        gaussian = self._with_covariances(columns, scale)
        if gaussian is None:
            gaussian = self._with_diagonal(columns, scale)
        with naming(self.path):
            labels = [model.label for model in self.models.values()]
            key = id_column(self.columns, columns.label, labels) if ids else None
            rows = None if key is None else _ids(self.column(key), key, len(gaussian))
        pictures = image_column(self.columns)
        images = None if pictures is None else functools.partial(self.column, pictures)
        return Posteriors(name, self.where, gaussian, rows, images)

    def _with_diagonal(self, columns: ModelColumns, scale: Parameterization | None) -> Gaussian:
        """The Gaussians of a model whose scale has the shape of the mean."""
        with naming(self.path):
            scale_name, parameterization = scale_column(columns, scale)
            mean, value = self.numbers(columns.mean), self.numbers(scale_name)
            _check_values(mean, columns.mean, None)
            _check_values(value, scale_name, parameterization)
            if mean.shape != value.shape:
                value = self._of_each_row(value, scale_name, mean, columns.mean)
        make = getattr(Gaussian, f"from_{parameterization}")
        gaussian: Gaussian = make(mean, value, event_dims=mean.ndim - 1, validate=False)
        return gaussian

    def _of_each_row(self, value: Tensor, name: str, mean: Tensor, mean_name: str) -> Tensor:
        """A scale of one number for each row, as a view of one number for each mean."""
        rows = len(value)
        if rows != len(mean) or value.numel() != rows:
            raise PosteriorFileError(
                f"columns {mean_name!r} and {name!r} differ in shape, {tuple(mean.shape)} and {tuple(value.shape)}; "
                "each mean needs one scale, or each row one."
            )
        if self.column(name).ndim == 1 and rows in mean.shape[1:] and self.path.suffix.lower() not in table_suffixes():
            raise PosteriorFileError(
                f"column {name!r} of shape ({rows},) may hold one scale for each row or for each of {rows} dimensions "
                f"of {mean_name!r}, {tuple(mean.shape)}. Save it with the shape ({rows}, 1), or with that of the mean."
            )
        return value.reshape(rows, *[1] * (mean.ndim - 1)).expand(mean.shape)

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
            return with_covariances(mean, matrix, columns.mean, column, self.where)


def open_posteriors(path: str | os.PathLike[str], named: Sequence[Named] = ()) -> PosteriorFile:
    """The models in a file of any format in ``formats/`` that may contain posteriors, or in several ``.npy`` files:
    a folder of them, or two with a comma between, of a mean and a scale.

    Columns are found by their names, which ``columns.NAMES`` lists, optionally with the label of a model (``mu_1``,
    ``beta.logvar``); ``id`` identifies rows. Each column has the shape ``(N, *event)``, with one row for each input.
    Covariances, or a ``sigma`` of one dimension more than the mean, are ``(N, d, d)``, or one ``(d, d)`` beside one
    mean ``(d,)``. Of two arrays without names the first is the mean. A scale of shape ``(N, 1)``, or ``(N,)``, is one
    for each row.

    Args:
        path: the file, the folder, or two files.
        named: the columns of each model, where names say nothing.

    Raises:
        PosteriorFileError: if the file does not exist, is damaged, or does not contain posteriors.
    """
    path = Path(path)
    columns = open_files(path)
    shapes = functools.partial(_shapes, path, columns)
    with naming(path):
        if named:
            found = [named_model(names, columns, shapes) for names in named]
        elif isinstance(columns, Unnamed) and len(columns) == 2:
            mean, scale = columns
            found = [ModelColumns("", mean, {"sigma": scale})]
        else:
            found = models(columns, shapes)
    called = {}
    for model in found:
        name = _stem(path) if len(found) == 1 else model.label or (model.mean if named else _stem(path))
        called[f"model {name}" if name.isdigit() else name] = model
    return PosteriorFile(path, columns, called)


def _shapes(path: Path, columns: "Columns") -> dict[str, tuple[int, ...]]:
    """The shapes of the first columns that contain numbers."""
    found = {}
    for name in list(columns)[:_MAX_LISTED]:
        with contextlib.suppress(PosteriorFileError, MemoryError):
            column = safely(path, columns[name])
            found[name] = tuple(real_tensor(column, name).shape)
    return found


def _stem(path: Path) -> str:
    """What the only model of a file is called."""
    place = _placed(path)
    return place.name if path.is_dir() else place.stem


def _placed(path: Path) -> Path:
    """The absolute path of a file or a folder; of two files, of the first."""
    return Path(os.path.abspath(path if path.is_dir() else parts(path)[0]))


def read_posteriors(path: str | os.PathLike[str], *, scale: Parameterization | None = None) -> Posteriors:
    """The posteriors of the only model in a file.

    Args:
        path: the file; see :func:`open_posteriors`.
        scale: the parameterization to read if the names do not determine it: of ``sigma``, or of several scales.

    Raises:
        PosteriorFileError: if the file does not contain exactly one model, or a value is not possible.
    """
    return open_posteriors(path).posteriors(scale=scale)


def distinct_names(names: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Names of models that are all different: where they are not, with their folders, or else A, B, …."""
    folders = [_placed(Path(source)).parent.name for source in sources]
    with_folders = [f"{printable(folder)}/{name}" for folder, name in zip(folders, names, strict=True)]
    letters = [chr(ord("A") + i) if i < 26 else f"model {i + 1}" for i in range(len(names))]
    return next(list(found) for found in (names, with_folders, letters) if len(set(found)) == len(found))


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
    if not isinstance(column, Tensor):
        wrong = unwritable_row(column)
        if wrong is not None:
            raise PosteriorFileError(f"column {printable(name)!r}, row {wrong}: is text that is not Unicode.")
        if column.dtype.kind in "mM":
            raise PosteriorFileError(
                f"column {printable(name)!r} holds times; ids must be all integers or all strings."
            )
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
