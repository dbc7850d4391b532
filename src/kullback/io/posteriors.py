"""The posteriors of models from files: their columns are found by name, and checked."""

import contextlib
import functools
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.io.advice import MODELS
from kullback.io.columns import (
    ModelColumns,
    Named,
    check_named,
    id_column,
    image_column,
    models,
    named_model,
    role,
    scale_column,
    uncounted,
)
from kullback.io.covariances import covariance_column, with_covariances
from kullback.io.datasets import absolute, is_table, model_name, open_dataset
from kullback.io.formats.registry import Unnamed, naming, safely
from kullback.io.gathering import gathered
from kullback.io.ids import ids_of_column
from kullback.io.model import Model, Posteriors, rows_of_images
from kullback.io.named_column import NamedColumn
from kullback.io.no_numbers import check_numbers
from kullback.io.numbers import real_tensor
from kullback.io.places import Place, place
from kullback.io.stored import Stored, check_room
from kullback.io.stored_model import StoredModel
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns

# How many models, or shapes of columns, a message lists.
_MAX_LISTED = 12


@dataclass(frozen=True)
class PosteriorFile:
    """A file and the models in it, by name. A column is read when it is needed."""

    path: Place
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
                f"{self.where}: columns {means}, … hold single numbers. If they are coordinates of one model, "
                f"{uncounted(self.columns)}. If each is a model, choose with {MODELS}."
            )
        raise PosteriorFileError(f"{self.where}: holds {len(self.models)} models ({held}). Choose with {MODELS}.")

    @property
    def is_wide(self) -> bool:
        """Whether the columns look like single coordinates of one model rather than like several models."""
        models = list(self.models.values())
        are_numbered = len(models) > 1 and all(m.label.isdigit() for m in models)
        return are_numbered and len(self.columns[models[0].mean].shape) == 1

    def model(
        self, label: str | None = None, *, scale: Parameterization | None = None, ids: bool | str = True
    ) -> Model:
        """The model with this label; without a label, the only model. Its rows are read when they are asked for.

        Args:
            label: the name or label of the model.
            scale: the parameterization to read if the names of columns do not determine it.
            ids: whether to read the ids of rows; or the name of their column.

        Raises:
            PosteriorFileError: if the file does not contain it, or its columns do not fit together.
        """
        name = self.name_of(label)
        columns = self.models[name]
        with naming(self.path):
            labels = [model.label for model in self.models.values()]
            if isinstance(ids, str):
                check_named(ids, self.columns, functools.partial(_shapes, self.path, self.columns))
                called: str | None = ids
            else:
                called = id_column(self.columns, columns.label, labels) if ids else None
        key = None if called is None else NamedColumn(called, _as_ids(self.columns[called]))
        pictures = image_column(self.columns)
        images = None if pictures is None else self.columns[pictures]
        others = self._others(pictures) if ids and key is None else ()
        gaussian = self._with_covariances(columns, scale)
        if gaussian is not None:
            self._check_ids(key, len(gaussian))
            rows = None if key is None else _listed(key, self.path, len(gaussian))
            pictured = None if images is None else functools.partial(_pictures, images, len(gaussian))
            return Posteriors(name, self.where, gaussian, rows, pictured, others)
        with naming(self.path):
            scale_name, kind = scale_column(columns, scale)
            mean, value = (NamedColumn(n, self.columns[n]) for n in (columns.mean, scale_name))
            self._check_shapes(mean, value)
        self._check_ids(key, len(mean.stored))
        return StoredModel(name, self.where, self.path, mean, value, kind, key, images, others)

    def _others(self, pictures: str | None) -> tuple[NamedColumn, ...]:
        """The columns whose names say nothing, and that no model is made of."""
        used = {name for model in self.models.values() for name in (model.mean, *model.scales.values())}
        names = [name for name in self.columns if role(name) is None and name not in used and name != pictures]
        return tuple(NamedColumn(name, self.columns[name]) for name in names)

    def _check_shapes(self, mean: NamedColumn, scale: NamedColumn) -> None:
        """Raise an error unless there is one scale for each mean, or one for each row."""
        shape, other = (tuple(self._shape_of(x)) for x in (mean, scale))
        rows = len(scale.stored)
        are_many = rows == len(mean.stored)
        if are_many and (shape or (1,)) == (other or (1,)):
            return
        if not are_many or math.prod(other) != 1:
            raise PosteriorFileError(
                f"columns {mean.name!r} and {scale.name!r} differ in shape, {mean.stored.shape} and "
                f"{scale.stored.shape}; each mean needs one scale, or each row one."
            )
        if not other and rows in shape and not is_table(self.path):
            raise PosteriorFileError(
                f"column {scale.name!r} of shape ({rows},) may hold one scale for each row or for each of {rows} "
                f"dimensions of {mean.name!r}, {mean.stored.shape}. Save it with the shape ({rows}, 1), or with that "
                "of the mean."
            )

    def _shape_of(self, column: NamedColumn) -> tuple[int, ...]:
        """The shape of a row, of a column that has rows of real numbers."""
        return safely(self.path, lambda: _shape(column.stored, column.name))[1:]

    def _check_ids(self, key: NamedColumn | None, rows: int) -> None:
        if key is not None and safely(self.path, lambda: len(key.stored)) != rows:
            raise PosteriorFileError(
                f"{self.where}: column {printable(key.name)!r} must hold one id for each of the {rows} rows."
            )

    def _with_covariances(self, columns: ModelColumns, scale: Parameterization | None) -> Gaussian | None:
        """The Gaussians of a model whose scale is covariances; None for other columns."""
        column = covariance_column(columns, scale)
        if column is None:
            return None
        names = columns.mean, column
        safely(
            self.path,
            lambda: check_room(f"{self.where}: reading all covariances", *(self.columns[name] for name in names)),
        )
        mean, matrix = (
            safely(self.path, functools.partial(lambda n: real_tensor(self.columns[n](), n), name)) for name in names
        )
        with naming(self.path):
            return with_covariances(mean, matrix, columns.mean, column, self.where)


def open_posteriors(
    path: str | os.PathLike[str], named: Sequence[Named] = (), *, by_label: bool = False
) -> PosteriorFile:
    """The models in a file of any format in ``formats/`` that may contain posteriors, or in several files as one.

    These are the files of a folder, or those that match a pattern, one after the other; shards of ``.safetensors``;
    files of one array each, ``.npy`` or ``.pt``: those of a folder, or two with a comma between, of a mean and a scale.
    Addresses such as ``s3://bucket/run`` are opened by fsspec.

    Columns are found by their names, which ``columns.NAMES`` lists, optionally with the label of a model (``mu_1``,
    ``beta.logvar``); ``id`` identifies rows. Each column has the shape ``(N, *event)``, with one row for each input.
    Covariances, or a ``sigma`` of one dimension more than the mean, are ``(N, d, d)``, or one ``(d, d)`` beside one
    mean ``(d,)``. Of two arrays without names the first is the mean. A scale of shape ``(N, 1)``, or ``(N,)``, is one
    for each row.

    Args:
        path: the file, the folder, the pattern, or two files.
        named: the columns of each model, where names say nothing.
        by_label: whether models are chosen by their labels, so that ``mu_0`` and ``mu_1`` are of two models, and not
            coordinates of one.

    Raises:
        PosteriorFileError: if the file does not exist, is damaged, or does not contain posteriors.
    """
    at = place(path)
    return models_of(at, open_dataset(at, "posteriors"), named, by_label=by_label)


def models_of(at: Place, columns: "Columns", named: Sequence[Named] = (), *, by_label: bool = False) -> PosteriorFile:
    """The models in columns that were opened at a place; see :func:`open_posteriors`."""
    shapes = functools.partial(_shapes, at, columns)
    with naming(at):
        if named:
            found = [named_model(names, columns, shapes) for names in named]
        elif isinstance(columns, Unnamed) and is_table(at):
            raise PosteriorFileError(
                "has no header: its first line is of numbers. Write the names of the columns there, as in "
                "id,mu_0,mu_1,logvar_0,logvar_1."
            )
        elif isinstance(columns, Unnamed) and len(columns) == 1:
            raise PosteriorFileError(
                "holds one array, and a model needs two. Give a mean and a scale as one argument, "
                f"a_mu{at.suffix},a_logvar{at.suffix}, or a folder with mean{at.suffix} and logvar{at.suffix}."
            )
        elif isinstance(columns, Unnamed) and len(columns) == 2:
            mean, scale = columns
            found = [ModelColumns("", mean, {"sigma": scale})]
        elif whole := gathered(columns, at, by_label=by_label):
            columns, found = {**columns, **whole[0]}, whole[1]
        else:
            found = models(columns, shapes)
    called = {}
    for model in found:
        name = model_name(at) if len(found) == 1 else model.label or (model.mean if named else model_name(at))
        called[f"model {name}" if name.isdigit() else name] = model
    return PosteriorFile(at, columns, called)


def _shapes(path: Place, columns: "Columns") -> dict[str, tuple[int, ...]]:
    """The shapes of the first columns that contain numbers."""
    found = {}
    for name in list(columns)[:_MAX_LISTED]:
        with contextlib.suppress(PosteriorFileError, MemoryError):
            found[name] = safely(path, functools.partial(_shape, columns[name], name))
    return found


def _shape(column: Stored, name: str) -> tuple[int, ...]:
    """The shape of a column that has rows of real numbers."""
    has_numbers = 0 not in (column.shape or (0,))
    first = next(column.batches(0, 1, 1)) if has_numbers else column()
    check_numbers(column, name, first)
    real_tensor(first, name)
    return column.shape


def distinct_names(names: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Names of models that are all different: where they are not, with their folders, or else A, B, …."""
    folders = [absolute(place(source)).parent.name for source in sources]
    with_folders = [f"{printable(folder)}/{name}" for folder, name in zip(folders, names, strict=True)]
    letters = [chr(ord("A") + i) if i < 26 else f"model {i + 1}" for i in range(len(names))]
    return next(list(found) for found in (names, with_folders, letters) if len(set(found)) == len(found))


def _as_ids(column: Stored) -> Stored:
    """A column of ids, of which codes such as ``007`` are text."""
    return column.as_text() if column.has_codes else column


def _listed(key: NamedColumn, path: Place, rows: int) -> list[Any]:
    """The ids of all rows."""
    return [i for ids in ids_of_column(key, path, 0, rows, max(1, rows)) for i in ids]


def _pictures(images: Stored, count: int, rows: Iterable[int]) -> list[Any]:
    return rows_of_images(images, rows, count)
