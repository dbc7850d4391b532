"""Patterns that a shell has expanded: the parts of one data set, given one by one."""

import itertools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from kullback.cli.errors import BadInput
from kullback.io.text import printable

# What writers of data sets call the parts: part-00000-<uuid>.snappy.parquet, train-00001-of-00005.parquet, 3.arrow.
_PART = re.compile(
    r"(?:(?:part|data|chunk|shard|batch|block|rows)?[-_.]?\d+(?:[-_.].*)?|.*[-_.]?\d+[-_.]of[-_.]\d+)"
    r"\.(?:parquet|arrow|feather|ipc|csv|safetensors)",
    re.IGNORECASE,
)


def as_given(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments with the parts of a folder replaced by the folder, and what the user should know of that.

    Raises:
        BadInput: if they are some of the parts that the folder holds.
    """
    found: list[str] = []
    notes = []
    for folder, group in itertools.groupby(arguments, _folder_of_part):
        paths = list(group)
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


def _folder_of_part(argument: str) -> Path | None:
    """The folder of a file that is called as parts of data sets are; None of any other argument."""
    path = Path(argument)
    return path.parent if _PART.fullmatch(path.name) and path.is_file() else None
