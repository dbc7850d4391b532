"""The posteriors of models from files: which columns they are, whether their values can be, and how rows join."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import POSITIVE, Parameterization
from kullback.io.columns import ModelColumns, id_column, models, scale_column
from kullback.io.formats.registry import Column, naming, open_columns, safely
from kullback.io.text import printable
from kullback.numerics.arrays import FLOATING, from_numpy


@dataclass(frozen=True)
class Posteriors:
    """The posteriors of one model: a Gaussian for each row, and what identifies the rows."""

    name: str
    source: str
    gaussian: Gaussian
    ids: list[Any] | None

    def __len__(self) -> int:
        return len(self.gaussian)


@dataclass(frozen=True)
class PosteriorFile:
    """A file and the models in it, by name; columns are read when they are asked for."""

    path: Path
    columns: dict[str, Callable[[], Column]]
    models: dict[str, ModelColumns]

    @property
    def where(self) -> str:
        """The file, for messages."""
        return printable(self.path)

    def named(self, label: str | None) -> str:
        """The name of the model of this label, or of the only one."""
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
                f"{self.where}: columns {means}, … hold single numbers. If they are coordinates of one model, put a "
                "row's means into one list column 'mu', its scales likewise; if each is a model, choose with --models."
            )
        raise PosteriorFileError(f"{self.where}: holds {len(self.models)} models ({held}). Choose with --models.")

    @property
    def is_wide(self) -> bool:
        """Do the columns look like a table with one coordinate in each, rather than like several models?"""
        models = list(self.models.values())
        return len(models) > 1 and all(m.label.isdigit() for m in models) and self.column(models[0].mean).ndim == 1

    def column(self, name: str) -> Column:
        """One column as it lies in the file."""
        return safely(self.path, self.columns[name])

    def numbers(self, name: str) -> Tensor:
        """One column as a floating tensor with a row for each input."""
        return safely(self.path, lambda: _numbers(self.columns[name](), name))

    def posteriors(
        self, label: str | None = None, *, scale: Parameterization | None = None, ids: bool = True
    ) -> Posteriors:
        """The posteriors of the model of this label, or of the only one."""
        name = self.named(label)
        columns = self.models[name]
        with naming(self.path):
            scale_name, parameterization = scale_column(columns, scale)
            labels = [model.label for model in self.models.values()]
            key = id_column(self.columns, columns.label, labels) if ids else None
            mean, value = self.numbers(columns.mean), self.numbers(scale_name)
            if mean.shape != value.shape:
                raise PosteriorFileError(
                    f"columns {columns.mean!r} and {scale_name!r} differ in shape, {tuple(mean.shape)} and "
                    f"{tuple(value.shape)}."
                )
            _check(mean, columns.mean, None)
            _check(value, scale_name, parameterization)
            rows = None if key is None else _ids(self.column(key), key, len(mean))
        make = getattr(Gaussian, f"from_{parameterization}")
        gaussian = make(mean, value, event_dims=mean.ndim - 1, validate=False)
        return Posteriors(name, self.where, gaussian, rows)


def open_posteriors(path: str | os.PathLike[str]) -> PosteriorFile:
    """The models in a file: ``.npz``, ``.safetensors``, ``.pt`` or ``.parquet``.

    Columns are understood by their names: ``mu|mean|loc`` and ``std|stddev|scale``, ``var|variance`` or
    ``logvar|log_var``, possibly with the label of a model (``mu_1``, ``beta.logvar``); ``id`` identifies rows. Each
    holds one row for each input: shape ``(N, *event)``.

    Raises:
        PosteriorFileError: if the file is not there, not whole, or does not hold what it should.
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
        scale: which scale to read, where ``sigma`` or several scales leave it open.
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
    """Two models side by side, from two files or from one that holds both, and the ids of their common rows.

    Args:
        a: the file of the first model, or of both.
        b: the file of the second.
        scale: as for :func:`read_posteriors`.
        labels: which models to take from files that hold several.
        by_order: join rows by order even if there are ids.
    """
    first_file = open_posteriors(a)
    second_file = first_file if b is None else open_posteriors(b)
    chosen: tuple[str | None, str | None] = labels or (None, None)
    if b is None and labels is None:
        if len(first_file.models) == 1:
            raise PosteriorFileError(f"{first_file.where}: holds one model. Give a second file.")
        # With more than two this asks to choose.
        names = list(first_file.models)
        chosen = (names[0], names[1]) if len(names) == 2 and not first_file.is_wide else (first_file.named(None), None)
    p, q = (
        file.posteriors(label, scale=scale, ids=not by_order)
        for file, label in zip((first_file, second_file), chosen, strict=True)
    )
    ids, first, second = joined(p, q)
    return ids, replace(p, gaussian=first), replace(q, gaussian=second)


def joined(a: Posteriors, b: Posteriors) -> tuple[list[Any], Gaussian, Gaussian]:
    """The rows of a and b side by side, with their ids: by the ids if both have some, by order otherwise."""
    if a.gaussian.event_shape != b.gaussian.event_shape:
        raise PosteriorFileError(
            f"{a.source} and {b.source}: latent shapes differ, {tuple(a.gaussian.event_shape)} and "
            f"{tuple(b.gaussian.event_shape)}. Divergences are between Gaussians in the same space."
        )
    if a.ids is None or b.ids is None:
        if len(a) != len(b):
            raise PosteriorFileError(
                f"{a.source} has {len(a)} rows, {b.source} has {len(b)}. To join by order they must be equally many; "
                "to join by identity, both need a column 'id'."
            )
        return a.ids or b.ids or list(range(len(a))), a.gaussian, b.gaussian
    rows = {key: row for row, key in enumerate(b.ids)}
    missing = [key for key in a.ids if key not in rows]
    if missing or len(a.ids) != len(b.ids):
        lacking, source = (missing, b.source) if missing else (sorted(rows.keys() - set(a.ids), key=str), a.source)
        raise PosteriorFileError(
            f"{source}: lacks {len(lacking)} of the ids of the other file, first {printable(lacking[0])!r}. "
            "To join rows by order all the same: --by-order."
        )
    order = [rows[key] for key in a.ids]
    return a.ids, a.gaussian, b.gaussian if a.ids == b.ids else b.gaussian[torch.tensor(order)]


def _numbers(column: Column, name: str) -> Tensor:
    if isinstance(column, np.ndarray):
        if column.dtype.kind not in "fiu" or column.dtype.itemsize > 8:
            raise PosteriorFileError(f"column {printable(name)!r} holds {column.dtype}, expected numbers.")
        column = from_numpy(column)
    strange = column.is_complex() or column.dtype == torch.bool or column.is_quantized or column.device.type == "meta"
    if strange or column.layout != torch.strided:
        raise PosteriorFileError(
            f"column {printable(name)!r} is a {column.layout} tensor of {column.dtype} on {column.device}; expected "
            "plain real numbers."
        )
    if column.dtype not in FLOATING:
        column = column.to(torch.float64)
    if column.ndim == 0 or column.numel() == 0:
        raise PosteriorFileError(
            f"column {printable(name)!r} has no rows (shape {tuple(column.shape)}); means and scales have one for each "
            "input."
        )
    return column.unsqueeze(1) if column.ndim == 1 else column


def _check(x: Tensor, name: str, parameterization: Parameterization | None) -> None:
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
        hint = " Is it a log-variance? Then call the column logvar, or, if it is called sigma, say --scale logvar."
    raise PosteriorFileError(
        f"{place} is no {parameterization or 'mean'} (rows and dimensions are counted from 0).{hint}"
    )


def _ids(column: Column, name: str, rows: int) -> list[Any]:
    values = column.tolist()
    if not isinstance(values, list) or len(values) != rows:
        raise PosteriorFileError(f"column {printable(name)!r} must hold one id for each of the {rows} rows.")
    kind = str if isinstance(values[0], str) else int
    wrong = next((row for row, v in enumerate(values) if not isinstance(v, kind) or isinstance(v, bool)), None)
    if wrong is not None:
        raise PosteriorFileError(
            f"column {printable(name)!r}, row {wrong}: {printable(values[wrong])!r}; ids are all integers or all "
            "strings."
        )
    if len(set(values)) != rows:
        twice = next(v for v, count in Counter(values).items() if count > 1)
        raise PosteriorFileError(f"column {printable(name)!r}: {printable(twice)!r} occurs more than once.")
    return values
