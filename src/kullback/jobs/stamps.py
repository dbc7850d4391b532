"""What tells that a file was changed, without reading it."""

import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kullback.io.datasets import parts
from kullback.io.formats.registry import safely
from kullback.io.places import Place, Remote, place

Stamp = list[int | str]

# What file systems of fsspec call what changes with the content of a file, in small letters and without signs.
_CHANGING = {
    "size", "mtime", "lastmodified", "modified", "modificationtime", "updated", "created",
    "etag", "contentmd5", "md5hash", "digest", "generation", "versionid", "blobid",
}  # fmt: skip


def fingerprint(paths: Sequence[str]) -> dict[str, Stamp]:
    """What changes with the content of each file that these paths stand for: of a file of this machine its size, and
    the time of its last change in nanoseconds; of one elsewhere what is known of it there, such as its ETag; of a store
    in a folder the number of its files, and a hash of what is so known of all of them.

    A path is a file, a folder, a pattern or two files with a comma between.

    Raises:
        PosteriorFileError: if that cannot be asked.
    """
    files = [part for path in paths for part in parts(place(path))]
    return {_name(file): safely(file, functools.partial(_stamp, file)) for file in files}


def _name(file: Place) -> str:
    return str(file) if isinstance(file, Remote) else os.path.abspath(file)


def _stamp(file: Place) -> Stamp:
    if isinstance(file, Remote):
        return _remote(file)
    return _of_all(_local(file)) if file.is_dir() else _of_file(file)


def _of_file(file: Path) -> Stamp:
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _local(folder: Path) -> Iterator[tuple[str, Stamp]]:
    """The files of a folder, and of those in it, links included."""
    seen = {os.path.realpath(folder)}
    for at, folders, names in os.walk(folder, onerror=_raised, followlinks=True):
        real = {name: os.path.realpath(os.path.join(at, name)) for name in folders}
        folders[:] = [name for name in folders if real[name] not in seen]
        seen.update(real.values())
        for name in names:
            file = Path(at, name)
            yield str(file.relative_to(folder)), _of_file(file)


def _raised(error: OSError) -> None:
    raise error


def _remote(file: Remote) -> Stamp:
    from fsspec.core import url_to_fs

    system, path = url_to_fs(file.address)
    info = system.info(path)
    if info.get("type") != "directory":
        return _of_info(info)
    return _of_all((name, _of_info(of)) for name, of in system.find(path, detail=True).items())


def _of_info(info: Mapping[str, Any]) -> Stamp:
    plain = {"".join(filter(str.isalnum, name.lower())): str(value) for name, value in info.items()}
    return [f"{name} {plain[name]}" for name in sorted(_CHANGING & plain.keys())]


def _of_all(files: Iterator[tuple[str, Stamp]]) -> Stamp:
    stamps = sorted(files)
    return [len(stamps), hashlib.sha256(json.dumps(stamps).encode()).hexdigest()]
