"""What classes of a library an object is of, told by their names: the library is not imported."""

from typing import Any


def class_names(x: Any, library: str) -> set[str]:
    """The names of those classes among the ancestors of an object that are defined in a library, or a package of it."""
    return {base.__name__ for base in type(x).__mro__ if f"{base.__module__}.".startswith(f"{library}.")}
