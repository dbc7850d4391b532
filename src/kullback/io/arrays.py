"""Several ``.npy`` files as one: a folder of them, or two of them with a comma between."""

from pathlib import Path
from typing import TYPE_CHECKING

from kullback.errors import PosteriorFileError
from kullback.io.columns import models
from kullback.io.formats.registry import Unnamed, open_columns
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns

_SUFFIX = ".npy"


def parts(path: Path) -> list[Path]:
    """The files that a path stands for: those of a folder, both of ``a_mu.npy,a_logvar.npy``, or itself."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() == _SUFFIX)
    halves = [Path(half.strip()) for half in str(path).split(",")]
    is_pair = len(halves) == 2 and all(half.suffix.lower() == _SUFFIX for half in halves)
    return halves if is_pair and not path.exists() else [path]


def open_files(path: Path) -> "Columns":
    """The columns of a file that may contain posteriors, or the arrays of several ``.npy`` files by their names.

    Raises:
        PosteriorFileError: if a file does not exist, its format is not known, or it cannot be read.
    """
    files = parts(path)
    if not files:
        raise PosteriorFileError(f"{printable(path)}: is a folder without {_SUFFIX} files.")
    if files == [path]:
        if path.suffix.lower() == _SUFFIX:
            raise PosteriorFileError(
                f"{printable(path)}: holds one array, and a model needs two. Give a mean and a scale as one argument, "
                f"a_mu{_SUFFIX},a_logvar{_SUFFIX}, or a folder with mean{_SUFFIX} and logvar{_SUFFIX}."
            )
        return open_columns(path, "posteriors")
    arrays = [next(iter(open_columns(file, "samples").values())) for file in files]
    names = [file.stem for file in files]
    has_names = path.is_dir() or _say_their_roles(names)
    return (
        dict(zip(names, arrays, strict=True))
        if has_names
        else Unnamed((str(i), array) for i, array in enumerate(arrays))
    )


def _say_their_roles(names: list[str]) -> bool:
    """Whether the names of two arrays say which is the mean; else the first is."""
    try:
        return bool(models(names))
    except PosteriorFileError:
        return False
