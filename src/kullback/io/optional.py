"""Libraries that kullback needs for some formats alone."""

import importlib
from types import ModuleType

from kullback.errors import PosteriorFileError


def needed(library: str, extra: str) -> ModuleType:
    """A library that an extra of kullback installs.

    Raises:
        PosteriorFileError: if it is not installed.
    """
    try:
        return importlib.import_module(library)
    except ImportError:
        raise PosteriorFileError(f"needs the library {library}: pip install 'kullback[{extra}]'.") from None
