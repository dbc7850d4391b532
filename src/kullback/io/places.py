"""Where data are: a path of this machine, or the address of a file elsewhere, which fsspec opens."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeAlias

from kullback.errors import PosteriorFileError
from kullback.io.text import printable

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")


@dataclass(frozen=True)
class Remote:
    """The address of a file or a folder, such as ``s3://bucket/run/latents.parquet``, with what is used of a path."""

    address: str

    def __str__(self) -> str:
        return self.address

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(_SCHEME.sub("", self.address))

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self._pure.name

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return self._pure.stem

    @property
    def suffix(self) -> str:
        """The suffix of the last part."""
        return self._pure.suffix

    @property
    def parent(self) -> "Remote":
        """The folder."""
        return Remote(self.address.rstrip("/").rpartition("/")[0])

    def open(self, mode: str = "rb") -> BinaryIO:
        """The file, opened for reading."""
        system, path = self._system()
        opened: BinaryIO = system.open(path, mode)
        return opened

    def exists(self) -> bool:
        """Whether there is a file or a folder."""
        system, path = self._system()
        return bool(system.exists(path))

    def is_file(self) -> bool:
        """Whether there is a file."""
        system, path = self._system()
        return bool(system.isfile(path))

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        system, path = self._system()
        return bool(system.isdir(path))

    def glob(self) -> "list[Remote]":
        """The files and folders whose addresses match this one."""
        system, path = self._system()
        return [self._at(system, found) for found in system.glob(path)]

    def files(self) -> "list[Remote]":
        """The files of the folder, and of the folders in it."""
        system, path = self._system()
        return [self._at(system, found) for found in system.find(path)]

    def _at(self, system: Any, path: str) -> "Remote":
        return Remote(str(system.unstrip_protocol(path)))

    def _system(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        try:
            system, path = url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            reason = printable(str(error).strip().split("\n")[0])
            raise PosteriorFileError(f"{printable(self.address)}: cannot be opened: {reason}") from None
        return system, path


Place: TypeAlias = Path | Remote


def place(path: str | os.PathLike[str]) -> Place:
    """A path of this machine, or the address of something elsewhere."""
    text = os.fspath(path)
    if not _SCHEME.match(text):
        return Path(text)
    if text.lower().startswith("file://"):
        from urllib.request import url2pathname

        return Path(url2pathname(text[len("file://") :]))
    return Remote(text)
