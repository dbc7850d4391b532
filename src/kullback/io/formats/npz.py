"""NumPy archives, ``.npz``; pickled members are refused."""

import contextlib
import functools
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.arrow import one_of_each
from kullback.io.formats.npy import npy_header
from kullback.io.slices import Layout, RawRows, Reader, checked
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns
    from kullback.io.places import Place
    from kullback.io.stored import Column

SUFFIXES, IS_TABLE = (".npz",), False


def read(path: "Place") -> "Columns":
    """The members of the archive."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise PosteriorFileError("is no .npz archive.")
        with zipfile.ZipFile(file) as archive:
            members = archive.namelist()
    names = one_of_each(member.removesuffix(".npy") for member in members)
    return {name: Member(path, member) for name, member in zip(names, members, strict=True)}


@dataclass(frozen=True)
class _Header:
    """What the headers of a member say."""

    layout: Layout
    """Where the numbers lie in the member."""
    is_fortran: bool
    base: int | None
    """Where the member begins in the archive; None if it is compressed."""
    seen: int
    """The checksum of the bytes before the numbers."""
    checksum: int


class Member(RawRows):
    """An array of the archive. A compressed one is decompressed from its beginning on, in bounded memory."""

    def __init__(self, path: "Place", member: str) -> None:
        super().__init__(path)
        self.member = member

    @functools.cached_property
    def _header(self) -> _Header:
        where = repr(printable(self.member.removesuffix(".npy")))
        with self.path.open("rb") as file, zipfile.ZipFile(file) as archive:
            info = archive.getinfo(self.member)
            with archive.open(info) as member:
                if member.read(6) != b"\x93NUMPY":
                    raise PosteriorFileError(f"member {where} is no array.")
                member.seek(0)
                try:
                    layout, is_fortran = npy_header(member)
                except PosteriorFileError as error:
                    raise PosteriorFileError(f"column {where} {error}") from None
                member.seek(0)
                seen = zlib.crc32(member.read(layout.offset))
            if layout.offset + layout.size != info.file_size:
                raise EOFError("it has another size than it states")
            base = None
            if info.compress_type == zipfile.ZIP_STORED:
                # The header of the member repeats its name, and may have other fields than the directory.
                file.seek(info.header_offset + 26)
                name, extra = file.read(2), file.read(2)
                base = info.header_offset + 30 + int.from_bytes(name, "little") + int.from_bytes(extra, "little")
            return _Header(layout, is_fortran, base, seen, info.CRC)

    @property
    def layout(self) -> Layout:
        """Where the numbers are, in the archive or in the decompressed member."""
        layout = self._header.layout
        return replace(layout, offset=layout.offset + (self._header.base or 0))

    @property
    def is_sliced(self) -> bool:
        """Whether rows lie one after the other."""
        return not self._header.is_fortran

    @property
    def breaks(self) -> Sequence[int]:
        """All rows; of what is compressed, or in the order of Fortran, the first."""
        return (0,) if self._header.base is None else super().breaks

    @contextlib.contextmanager
    def opened(self) -> "Iterator[Any]":
        """The rows of the open archive; in the order of Fortran, the whole array."""
        import numpy as np

        with self.path.open("rb") as file:
            if self._header.base is not None and self.is_sliced:
                yield Reader(file, self.layout)
                return
            with zipfile.ZipFile(file) as archive, archive.open(self.member) as member:
                is_whole = self._header.is_fortran
                yield np.lib.format.read_array(member, allow_pickle=False) if is_whole else Reader(member, self.layout)

    def batches(self, start: int, stop: int, size: int) -> "Iterator[Column]":
        """The rows from ``start`` to ``stop``; where these are all, the checksum of the archive is compared."""
        batches, header = super().batches(start, stop, size), self._header
        is_checked = start == 0 and stop == len(self) and header.base is not None and self.is_sliced
        return checked(batches, stop, header.seen, header.checksum) if is_checked else batches

    def __call__(self) -> "Column":
        """The whole array."""
        return next(self.batches(0, len(self), len(self))) if len(self) else super().__call__()
