"""What a path stands for: a file; or several files as one: those of a folder, of a pattern, of shards, or of a pair."""

import glob
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NoReturn

from kullback.errors import PosteriorFileError
from kullback.io.columns import models, role
from kullback.io.formats.registry import Columns, Unnamed, naming, open_columns, suffixes, table_suffixes
from kullback.io.places import Place, Remote, place
from kullback.io.stored import Stored
from kullback.io.text import printable
from kullback.io.views import Concatenated, Lacking

Contents = Literal["posteriors", "samples"]
"""What a data set is read for."""

_ARRAY = ".npy"
_STORE = ".zarr"
_INDEX = ".safetensors.index.json"
_SHARD = re.compile(r"(.*?)(\d+)-of-(\d+)(.*)")


def open_dataset(path: Place, holding: Contents) -> Columns:
    """The columns of a file, or of several files as one.

    Files that hold one array each, such as those of a folder of ``.npy`` files or two with a comma between, have a
    column for each, with the name of the file. Other files in a folder and in the folders in it, or those that a
    pattern in quotes matches (``'run/*.parquet'``), are read one after the other, in the order of their names, where
    numbers are ordered by value. Shards of ``.safetensors`` that contain different tensors are one file. Files whose
    names begin with a dot or an underscore are left out.

    Raises:
        PosteriorFileError: if a file does not exist, its format is not known, it cannot be read, or the files do not
            have the same columns.
    """
    is_pair = _is_pair(path)
    files = [path] if holding == "samples" and is_pair else parts(path)
    if files == [path]:
        columns = open_columns(path)
        only = _only_array(columns)
        # Means and log-variances may be one array, whose file says so.
        if holding == "posteriors" and only is not None and (role(path.stem) or ("",))[0] == "moments":
            return {path.stem: only}
        return columns
    with naming(path):
        if not files:
            raise PosteriorFileError(_nothing(path))
        kinds = Counter(file.suffix.lower() for file in files)
        if len(kinds) > 1 and not is_pair:
            listed = ", ".join(f"{count} of {suffix}" for suffix, count in sorted(kinds.items()))
            raise PosteriorFileError(f"holds files of several kinds ({listed}). Choose one, as in '*{min(kinds)}'.")
        _check_no_shard_lacks(files)
    opened = [open_columns(file) for file in files]
    with naming(path):
        arrays = [array for of in opened if (array := _only_array(of)) is not None]
        if is_pair:
            _check_are_arrays(files, opened)
        if len(arrays) == len(files) and (holding == "posteriors" or _say_their_roles([file.stem for file in files])):
            return _by_file(files, arrays, is_pair=is_pair)
        named = [(_within(file, path), of) for file, of in zip(files, opened, strict=True)]
        return _as_one(named, may_be_spread=".safetensors" in kinds)


def parts(path: Place) -> Sequence[Place]:
    """The files that a path stands for, in order: itself, if it is one."""
    if _is_pair(path):
        return _halves(path)
    if path.name.endswith(_INDEX):
        return _of_index(path)
    if _is_pattern(path):
        matched = path.glob() if isinstance(path, Remote) else [Path(p) for p in glob.glob(str(path), recursive=True)]
        return _ordered(file for match in matched for file in ([match] if _is_file(match) else _files(match)))
    return [path] if _is_file(path) or not path.is_dir() else _files(path)


def _is_pair(path: Place) -> bool:
    """Whether it stands for a mean and a scale in two files, ``a_mu.npy,a_logvar.npy``."""
    halves = _halves(path)
    return len(halves) == 2 and all(half.suffix.lower() in suffixes() for half in halves) and not path.exists()


def _halves(path: Place) -> list[Place]:
    return [place(half.strip()) for half in str(path).split(",")]


def is_table(path: Place) -> bool:
    """Whether several columns of numbers are the coordinates of one set of samples."""
    return next(iter(parts(path)), path).suffix.lower() in table_suffixes()


def model_name(path: Place) -> str:
    """What the only model of a data set is called: by its file, by its folder, or by what a pattern begins with."""
    at = absolute(path)
    if at.name.endswith(_INDEX):
        return at.name.removesuffix(_INDEX)
    return at.name if _is_pattern(path) or path.is_dir() else at.stem


def absolute(path: Place) -> Place:
    """Where a file or a folder is; of two files, the first; of a pattern, what stands before its signs."""
    if _is_pattern(path):
        plain = re.split(r"[*?\[]", str(path))[0].rstrip("_-. ")
        path = place(plain) if plain else Path()
    elif _is_pair(path):
        path = _halves(path)[0]
    return path if isinstance(path, Remote) else Path(os.path.abspath(path))


def _is_pattern(path: Place) -> bool:
    return glob.has_magic(str(path)) and not path.exists()


def _is_file(path: Place) -> bool:
    """Whether it is one file, or a folder that is one store."""
    if not path.is_dir():
        return path.is_file()
    return path.suffix.lower() == _STORE


def _files(folder: Place) -> list[Place]:
    """The files of data in a folder, those of folders in it included; of a folder with arrays, these alone."""
    known = suffixes()
    if isinstance(folder, Remote):
        found: list[Place] = [file for file in folder.files() if file.suffix.lower() in known]
        inside = len(str(folder).rstrip("/")) + 1
        shown = [file for file in found if not any(map(_is_hidden, str(file)[inside:].split("/")))]
    else:
        shown = [file for file in _walked(folder) if file.suffix.lower() in known]
    own = [file for file in shown if file.suffix.lower() == _ARRAY and str(file.parent) == str(folder).rstrip("/")]
    return _ordered(own or [file for file in shown if file.suffix.lower() != _ARRAY])


def _walked(folder: Path) -> Iterable[Path]:
    """The files under a folder. A folder that links lead to again is read once."""
    seen = {os.path.realpath(folder)}
    for at, folders, names in os.walk(folder, onerror=_raised, followlinks=True):
        inner = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(at, name))
            if name.lower().endswith(_STORE):
                yield Path(at, name)
            elif not _is_hidden(name) and real not in seen:
                seen.add(real)
                inner.append(name)
        folders[:] = inner
        yield from (Path(at, name) for name in names if not _is_hidden(name))


def _raised(error: OSError) -> NoReturn:
    """A folder that is closed may hold rows, which are not left out in silence."""
    raise PosteriorFileError(f"{printable(error.filename)}: cannot be read: {error.strerror}.") from error


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _ordered(files: Iterable[Place]) -> list[Place]:
    """Files by their names, in which numbers are ordered by value: part.9 comes before part.10."""

    def key(file: Place) -> list[tuple[int, str]]:
        return [(int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(file))]

    return sorted(files, key=key)


def _nothing(path: Place) -> str:
    if _is_pattern(path):
        return "no file matches."
    return f"is a folder without files of a known kind ({', '.join(suffixes())})."


def _only_array(columns: Columns) -> Stored | None:
    """The array of a file that holds one, without a name."""
    return next(iter(columns.values())) if isinstance(columns, Unnamed) and len(columns) == 1 else None


def _check_are_arrays(files: Sequence[Place], opened: Sequence[Columns]) -> None:
    for file, columns in zip(files, opened, strict=True):
        if _only_array(columns) is None:
            held = ", ".join(repr(printable(name)) for name in list(columns)[:3]) or "nothing"
            raise PosteriorFileError(
                f"two files with a comma between are the mean and the scale of one model, an array each, and "
                f"{printable(file)} holds {held}. Give two models as two arguments."
            )


def _by_file(files: Sequence[Place], arrays: Sequence[Stored], *, is_pair: bool) -> Columns:
    """The arrays of several files by their names; of a pair whose names do not say which is the mean, in order."""
    names = [file.stem for file in files]
    if is_pair and not _say_their_roles(names):
        return Unnamed((str(i), array) for i, array in enumerate(arrays))
    return dict(zip(names, arrays, strict=True))


def _say_their_roles(names: list[str]) -> bool:
    """Whether the names of two arrays say which is the mean; else the first is."""
    try:
        return bool(models(names))
    except PosteriorFileError:
        return False


def _as_one(opened: list[tuple[str, Columns]], *, may_be_spread: bool) -> Columns:
    """The columns of several files one after the other; or side by side, where each file has columns of its own.

    A column whose name says nothing may be of some files alone: it is an error when it is read.

    Raises:
        PosteriorFileError: if the names of other columns differ.
    """
    first, columns = opened[0]
    names = Counter(name for _, of in opened for name in of)
    if may_be_spread and len(opened) > 1 and set(names.values()) == {1}:
        return {name: column for _, of in opened for name, column in of.items()}
    for file, of in opened[1:]:
        missing, new = (
            [name for name in sorted(which) if role(name)]
            for which in (columns.keys() - of.keys(), of.keys() - columns.keys())
        )
        if missing or new:
            says = " and ".join(
                f"{verb} {', '.join(repr(printable(name)) for name in which[:3])}"
                for verb, which in (("lacks", missing), ("has also", new))
                if which
            )
            raise PosteriorFileError(
                f"{printable(file)} {says}, unlike {printable(first)}. All need the columns that are read."
            )
    return type(columns)((name, _whole(name, opened)) for name in names)


def _whole(name: str, opened: list[tuple[str, Columns]]) -> Stored:
    lacking = next((file for file, of in opened if name not in of), None)
    if lacking is None:
        return Concatenated(name, [(file, of[name]) for file, of in opened])
    return Lacking(name, lacking, next(file for file, of in opened if name in of))


def _within(file: Place, path: Place) -> str:
    """The name of a file in a folder, or as a pattern found it."""
    inside = f"{str(path).rstrip('/')}/"
    return str(file).removeprefix(inside)


def _of_index(path: Place) -> list[Place]:
    """The shards that an index lists."""
    with naming(path):
        try:
            with path.open("rb") as file:
                names = sorted(set(map(str, json.load(file)["weight_map"].values())))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PosteriorFileError(f"cannot be read as an index of shards ({printable(error)[:160]}).") from None
        folder = path.parent
        return [place(f"{folder}/{name}") for name in names]


def _check_no_shard_lacks(files: Sequence[Place]) -> None:
    """Raise an error if names say that there are more files, as of model-00001-of-00003."""
    shards: dict[tuple[str, str, str], set[int]] = {}
    for file in files:
        if match := _SHARD.fullmatch(file.name):
            before, number, count, after = match.groups()
            shards.setdefault((f"{file.parent}/{before}", count, after), set()).add(int(number))
    for (before, count, after), numbers in shards.items():
        first = 0 if 0 in numbers else 1
        lacking = sorted(set(range(first, first + int(count))) - numbers) if len(numbers) < int(count) else []
        if lacking:
            name = f"{before.rpartition('/')[2]}{lacking[0]:0{len(count)}}-of-{count}{after}"
            raise PosteriorFileError(f"lacks {printable(name)}: {len(numbers)} of {int(count)} shards are there.")
