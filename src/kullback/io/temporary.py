"""Temporary folders, which are removed when nothing refers to them, or when this process leaves at once."""

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any


class Folder:
    """A temporary folder, removed when nothing in this process refers to it; copies elsewhere do not count."""

    def __init__(self, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        self._remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
        _FOLDERS.add(self)

    def remove(self) -> None:
        """Remove it now."""
        self._remove()

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self.path),)


_FOLDERS: "weakref.WeakSet[Folder]" = weakref.WeakSet()


def remove_all() -> None:
    """Remove every folder; to be called where the process ends without the clean-up of Python."""
    for folder in list(_FOLDERS):
        folder.remove()
