"""Patterns that a shell has expanded: the parts of one data set, given one by one."""

import itertools
import operator
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from kullback.cli.errors import BadInput
from kullback.io.formats.registry import suffixes
from kullback.io.text import printable

# What writers of data sets call the parts: part-00000-<uuid>.snappy.parquet, train-00001-of-00005.parquet, 3.arrow.
_PART = re.compile(
    r"(?:(?:part|data|chunk|shard|batch|block|rows)?[-_.]?\d+(?:[-_.].*)?|.*[-_.]?\d+[-_.]of[-_.]\d+)"
    r"\.(?:parquet|arrow|feather|ipc|csv|safetensors)",
    re.IGNORECASE,
)


def as_given(arguments: Sequence[str], params: Sequence[click.Parameter]) -> tuple[list[str], list[str]]:
    """The arguments with the parts of a folder replaced by the folder, and what the user should know of that.

    Args:
        arguments: those of the command line.
        params: what the command takes. Where there are more files than it takes, those of a folder are parts.

    Raises:
        BadInput: if they are some of the parts that the folder holds.
    """
    found: list[str] = []
    notes = []
    for folder, group in itertools.groupby(_with_folders(arguments, params), operator.itemgetter(1)):
        paths = [path for path, _ in group]
        if folder is None or len(paths) == 1:
            found += paths
            continue
        held = [path for path in folder.iterdir() if not path.name.startswith((".", "_"))]
        if {path.name for path in held} != {Path(path).name for path in paths}:
            raise BadInput(
                f"{len(paths)} files of {printable(folder)} are parts of one data set, and the folder holds others. If "
                f"the shell expanded a pattern, quote it{_pattern(folder, paths)}."
            )
        notes.append(f"the {len(paths)} files of {printable(folder)} are read as one model")
        found.append(str(folder))
    return found, notes


def _pattern(folder: Path, paths: Sequence[str]) -> str:
    """The pattern that a shell may have been given, for a message; empty if a simple one matches other files, too."""
    given = {Path(path).name for path in paths}
    names = sorted(given)
    start = _shared(names)
    end = _shared([name[len(start) :][::-1] for name in names])[::-1]
    digits = re.compile(r"\d+$")
    tries = (f"{digits.sub('', start)}*{Path(names[0]).suffix}", f"{start}*{Path(names[0]).suffix}", f"{start}*{end}",
             f"{start}?{end}")  # fmt: skip
    for pattern in tries:
        if {path.name for path in folder.glob(pattern)} == given:
            return f": {shlex.quote(printable(folder / pattern))}"
    return ""


def _shared(names: Sequence[str]) -> str:
    """What all names begin with."""
    same = itertools.takewhile(lambda characters: len(set(characters)) == 1, zip(*names, strict=False))
    return "".join(characters[0] for characters in same)


def _with_folders(arguments: Sequence[str], params: Sequence[click.Parameter]) -> Iterator[tuple[str, Path | None]]:
    """Each argument, and its folder if it is a part of the data set in it."""
    with_value = {name for x in params if isinstance(x, click.Option) and not x.is_flag for name in x.opts}
    taken = [param.nargs for param in params if isinstance(param, click.Argument)]
    are_data = [
        _is_data(argument) and before not in with_value
        for before, argument in zip(["", *arguments], arguments, strict=False)
    ]
    for are_files, group in itertools.groupby(zip(are_data, arguments, strict=True), operator.itemgetter(0)):
        given = [argument for _, argument in group]
        are_too_many = -1 not in taken and len(given) > sum(taken)
        for argument in given:
            path = Path(argument)
            is_part = are_files and (are_too_many or _PART.fullmatch(path.name))
            yield argument, path.parent if is_part else None


def _is_data(argument: str) -> bool:
    """Whether it is a file of data."""
    return Path(argument).suffix.lower() in suffixes() and os.path.isfile(argument)
