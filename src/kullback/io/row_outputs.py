"""Where columns of rows are written: a file, or a folder of Parquet files that is read as one table."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from kullback.errors import PosteriorFileError
from kullback.io.output import check_place, check_writable
from kullback.io.row_formats import FOLDER, ROW_FORMATS, RowFormat
from kullback.io.text import printable
from kullback.numerics.files import output_path, set_aside

ROW_SUFFIXES = tuple(ROW_FORMATS)
"""The suffixes of files that columns of rows can be written to."""

# What parts of a result are called, and not those that Spark writes, part-00000-<uuid>.snappy.parquet.
_PART = re.compile(r"part-\d{5,}\.parquet").fullmatch


@dataclass(frozen=True)
class RowOutput:
    """A place to write to, which was checked, and its format."""

    name: str
    """As the caller gave it."""
    target: Path
    """Where it is: behind a link, what the link points to."""
    suffix: str | None
    """None for a folder."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of parts."""
        return self.suffix is None

    @property
    def format(self) -> RowFormat:
        """The format of the file, or of the parts of the folder."""
        return FOLDER if self.suffix is None else ROW_FORMATS[self.suffix]


def row_output(name: str) -> RowOutput:
    """The place that a name means: the suffix of a file determines its format; a name that ends in a slash, or that
    of a folder without a suffix, is a folder of Parquet files.

    Raises:
        PosteriorFileError: if it cannot be written, its format is not known, or the folder holds what is no part.
    """
    path = output_path(name)
    target = Path(os.path.realpath(path))
    separators = tuple(filter(None, (os.sep, os.altsep)))
    # A run that was killed while it replaced the folder may have set it aside.
    is_folder = path.is_dir() or set_aside(target).is_dir()
    if not name.endswith(separators) and (path.suffix or not is_folder):
        check_writable(path, ROW_SUFFIXES)
        return RowOutput(name, target, path.suffix.lower())
    check_place(path)
    if target.exists():
        if not target.is_dir():
            raise PosteriorFileError(f"{printable(name)}: is a file, and the slash asks for a folder.")
        other = [file.name for file in target.iterdir() if not (_PART(file.name) and file.is_file())]
        if other:
            raise PosteriorFileError(
                f"{printable(name)}: holds {printable(min(other))!r}, which is no part of a result, and would be "
                "lost. Choose another folder."
            )
    return RowOutput(name, target, None)
