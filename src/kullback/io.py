"""Posteriors from files, and results into files.

Nothing is ever unpickled, nothing is repaired, and a file that is being written takes its name only when it is whole.
"""

import contextlib
import csv
import os
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.adapt.arrays import FLOATING, from_numpy
from kullback.columns import ModelColumns, id_column, models, role
from kullback.errors import PosteriorFileError
from kullback.gaussian import Gaussian
from kullback.scale import Parameterisation

Column = Tensor | np.ndarray[Any, Any]


@dataclass(frozen=True)
class Posteriors:
    """The posteriors of one model: a Gaussian for each row, and what identifies the rows."""

    name: str
    source: str
    gaussian: Gaussian
    ids: list[Any] | None

    def __len__(self) -> int:
        return len(self.gaussian)


def printable(text: object) -> str:
    """``text`` on one line, with nothing in it that could steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def read_posteriors(path: str | os.PathLike[str], *, scale: Parameterisation | None = None) -> list[Posteriors]:
    """The posteriors of every model in a file: ``.npz``, ``.safetensors``, ``.pt`` or ``.parquet``.

    Args:
        path: the file. Columns are understood by their names: ``mu|mean|loc`` and ``std|stddev|scale``,
            ``var|variance`` or ``logvar|log_var``, possibly with the label of a model (``mu_1``, ``beta.logvar``);
            ``id`` identifies rows. Each holds one row for each input: shape ``(N, *event)``.
        scale: which scale to read, where ``sigma`` or several scales leave it open.

    Raises:
        PosteriorFileError: if the file is not there, not whole, or does not hold what it should.
    """
    path = Path(path)
    where = printable(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise PosteriorFileError(f"{where}: unknown kind of file; known are {', '.join(_READERS)}.")
    if not path.is_file():
        raise PosteriorFileError(f"{where}: no such file.")
    table = _read_safely(reader, path, where)
    found = models(table, where, scale)
    key = id_column(table)
    posteriors = [_posteriors(table, columns, key, path, where, alone=len(found) == 1) for columns in found]
    if len(found) > 1 and all(c.label.isdigit() and table[c.mean].ndim == 1 for c in found):
        raise PosteriorFileError(
            f"{where}: columns {', '.join(repr(printable(c.mean)) for c in found[:3])}, … hold single numbers. Are "
            "they the coordinates of one model? Then put a row's means into one list column 'mu', its scales likewise."
        )
    return posteriors


def pick(found: Sequence[Posteriors], label: str | None) -> Posteriors:
    """The model of this name, or the only one."""
    if label is None and len(found) == 1:
        return found[0]
    names = ", ".join(repr(printable(p.name)) for p in found)
    for posteriors in found:
        if label is not None and posteriors.name in (label, f"model {label}"):
            return posteriors
    if label is None:
        raise PosteriorFileError(f"{found[0].source}: holds {len(found)} models ({names}). Choose with --models.")
    raise PosteriorFileError(f"{found[0].source}: no model {printable(label)!r}; it holds {names}.")


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


def read_pair(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str] | None = None,
    *,
    scale: Parameterisation | None = None,
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
    found = read_posteriors(a, scale=scale)
    if b is None and labels is None and len(found) != 2:
        names = ", ".join(repr(printable(p.name)) for p in found)
        remedy = "Give a second file." if len(found) == 1 else "Choose two with --models."
        raise PosteriorFileError(
            f"{found[0].source}: holds {len(found)} model{'s' * (len(found) > 1)} ({names}). {remedy}"
        )
    if b is None:
        first, second = (pick(found, label) for label in labels) if labels else found
    else:
        first, second = pick(found, labels and labels[0]), pick(read_posteriors(b, scale=scale), labels and labels[1])
    if by_order:
        first, second = replace(first, ids=None), replace(second, ids=None)
    ids, p, q = joined(first, second)
    return ids, replace(first, gaussian=p), replace(second, gaussian=q)


def _read_safely(reader: Callable[[Path], dict[str, Column]], path: Path, where: str) -> dict[str, Column]:
    import pickle

    import pyarrow
    from safetensors import SafetensorError

    damaged = (
        OSError, EOFError, ValueError, KeyError, RuntimeError, MemoryError, OverflowError, NotImplementedError,
        SyntaxError, zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, pyarrow.ArrowException, SafetensorError,
    )  # fmt: skip
    try:
        return reader(path)
    except PosteriorFileError as error:
        raise PosteriorFileError(f"{where}: {error}") from None
    except damaged as error:
        reason = printable(str(error).strip().split("\n")[0])[:160] or type(error).__name__
        raise PosteriorFileError(f"{where}: cannot be read as {path.suffix}, or is damaged ({reason}).") from error


def _read_npz(path: Path) -> dict[str, Column]:
    table: dict[str, Column] = {}
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise PosteriorFileError("is no .npz archive.")
        file.seek(0)
        archive = np.load(file, allow_pickle=False)
        for name in archive.files:
            try:
                table[name] = archive[name]
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                if role(name):
                    raise PosteriorFileError(f"column {printable(name)!r} is pickled, and never unpickled.") from None
    return table


def _read_safetensors(path: Path) -> dict[str, Column]:
    from safetensors.torch import load_file

    return dict(load_file(path))


def _read_pt(path: Path) -> dict[str, Column]:
    import pickle

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise PosteriorFileError(
            "holds more than tensors, or is damaged; it is loaded with weights_only=True. Save a dict of tensors: "
            "torch.save({'mu': mu, 'logvar': logvar}, path)."
        ) from None
    if not isinstance(loaded, dict):
        raise PosteriorFileError(
            f"holds a {type(loaded).__name__}, expected a dict of tensors: "
            "torch.save({'mu': mu, 'logvar': logvar}, path)."
        )
    table: dict[str, Column] = {}
    for key, value in loaded.items():
        # One dict for each model is a common way of saving two.
        parts = {f"{key}.{inner}": x for inner, x in value.items()} if isinstance(value, dict) else {str(key): value}
        for name, column in parts.items():
            if isinstance(column, Tensor):
                table[name] = column.detach()
            elif isinstance(column, list):
                table[name] = np.asarray(column)
    return table


def _read_parquet(path: Path) -> dict[str, Column]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    return {name: _arrow_column(name, table.column(name)) for name in table.column_names}


def _arrow_column(name: str, column: Any) -> Column:
    import pyarrow as pa

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], type=array.type)
    if array.null_count:
        row = array.is_null().to_pylist().index(True)
        raise PosteriorFileError(f"column {printable(name)!r}, row {row}: empty (null).")
    if not (
        pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type)
    ):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    values = array.flatten()
    lengths = array.value_lengths().to_numpy(zero_copy_only=False)
    if len(lengths) and (lengths != lengths[0]).any():
        row = int((lengths != lengths[0]).argmax())
        raise PosteriorFileError(
            f"column {printable(name)!r}, row {row}: {lengths[row]} numbers where row 0 has {lengths[0]}."
        )
    width = int(lengths[0]) if len(lengths) else 0
    if values.null_count:
        row = values.is_null().to_pylist().index(True) // width
        raise PosteriorFileError(f"column {printable(name)!r}, row {row}: holds an empty number (null).")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(array), width)


_READERS: dict[str, Callable[[Path], dict[str, Column]]] = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".pt": _read_pt,
    ".pth": _read_pt,
    ".parquet": _read_parquet,
}


def _posteriors(
    table: dict[str, Column], columns: ModelColumns, key: str | None, path: Path, where: str, *, alone: bool
) -> Posteriors:
    mean, scale = (_numbers(table[name], name, where) for name in (columns.mean, columns.scale))
    if mean.shape != scale.shape:
        raise PosteriorFileError(
            f"{where}: columns {columns.mean!r} and {columns.scale!r} differ in shape, {tuple(mean.shape)} and "
            f"{tuple(scale.shape)}."
        )
    _check(mean, columns.mean, where, None)
    _check(scale, columns.scale, where, columns.given)
    make = {"std": Gaussian.from_std, "variance": Gaussian.from_variance, "logvar": Gaussian.from_logvar}[columns.given]
    gaussian = make(mean, scale, event_dims=mean.ndim - 1, validate=False)
    ids = None if key is None else _ids(table[key], key, len(mean), where)
    name = path.stem if alone else columns.label or path.stem
    return Posteriors(f"model {name}" if name.isdigit() else name, where, gaussian, ids)


def _numbers(column: Column, name: str, where: str) -> Tensor:
    if isinstance(column, np.ndarray):
        if column.dtype.kind not in "fiu" or column.dtype.itemsize > 8:
            raise PosteriorFileError(f"{where}: column {printable(name)!r} holds {column.dtype}, expected numbers.")
        column = from_numpy(column)
    if column.is_complex() or column.dtype == torch.bool:
        raise PosteriorFileError(f"{where}: column {printable(name)!r} holds {column.dtype}, expected real numbers.")
    if column.dtype not in FLOATING:
        column = column.to(torch.float64)
    if column.ndim == 0 or len(column) == 0 or column.numel() == 0:
        raise PosteriorFileError(f"{where}: column {printable(name)!r} has no rows (shape {tuple(column.shape)}).")
    return column.unsqueeze(1) if column.ndim == 1 else column


def _check(x: Tensor, name: str, where: str, given: Parameterisation | None) -> None:
    bad = ~torch.isfinite(x)
    if given in ("std", "variance"):
        bad |= x <= 0
    if not bad.any():
        return
    row, *index = bad.nonzero()[0].tolist()
    value = x[row][tuple(index)].item()
    place = f"{where}: column {printable(name)!r}, row {row}, dimension {','.join(map(str, index))}: {value:g}"
    if given in ("std", "variance") and value < 0:
        raise PosteriorFileError(
            f"{place} is no {given}. Is it a log-variance? Then call the column logvar, or, if it is called sigma, "
            "say --scale logvar."
        )
    raise PosteriorFileError(f"{place} is no {given or 'mean'}; rows and dimensions are counted from 0.")


def _ids(column: Column, name: str, rows: int, where: str) -> list[Any]:
    values = column.tolist()
    if not isinstance(values, list) or len(values) != rows or any(isinstance(v, (list, float)) for v in values):
        raise PosteriorFileError(f"{where}: column {printable(name)!r} must hold one integer or string for each row.")
    if len(set(values)) != rows:
        twice = next(v for v, count in Counter(values).items() if count > 1)
        raise PosteriorFileError(f"{where}: column {printable(name)!r}: {printable(twice)!r} occurs more than once.")
    return values


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it does not."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(temporary)
        # mkstemp makes files private; a result has the permissions that any new file of the user's has.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(path: str | os.PathLike[str], kinds: Sequence[str]) -> None:
    """Raise before any work is done if ``path`` cannot become a file of one of these kinds."""
    path = Path(path)
    if path.suffix.lower() not in kinds:
        raise PosteriorFileError(f"{printable(path)}: unknown kind of file to write; known are {', '.join(kinds)}.")
    if not path.parent.is_dir():
        raise PosteriorFileError(f"{printable(path)}: there is no folder {printable(path.parent)}.")
    if path.is_dir():
        raise PosteriorFileError(f"{printable(path)}: is a folder.")


ROW_KINDS = (".npz", ".parquet", ".csv")


def write_rows(path: str | os.PathLike[str], ids: Sequence[Any], values: Tensor) -> None:
    """Write one divergence for each row, with its id, as ``.npz``, ``.parquet`` or ``.csv``; whole or not at all."""
    check_writable(path, ROW_KINDS)
    kind, kl = Path(path).suffix.lower(), values.numpy()
    with whole_file(path) as temporary:
        if kind == ".npz":
            with temporary.open("wb") as file:
                np.savez(file, id=np.asarray(ids), kl=kl)
        elif kind == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet

            pyarrow.parquet.write_table(pa.table({"id": ids, "kl": kl}), temporary)
        else:
            with temporary.open("w", encoding="utf-8", newline="") as text:
                write_csv(text, ids, values)


def write_csv(file: Any, ids: Sequence[Any], values: Tensor) -> None:
    """Rows ``id,kl``, each number with as many digits as it takes to read it back."""
    writer = csv.writer(file)
    writer.writerow(["id", "kl"])
    writer.writerows(zip(ids, (str(x) for x in values.numpy()), strict=True))
