"""What a long computation is going to do, so that an interrupted one is continued only if it is still the same."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kullback._version import __version__
from kullback.errors import PosteriorFileError
from kullback.io.text import printable


@dataclass(frozen=True)
class Plan:
    """The inputs, the parameters and the tasks of a computation."""

    inputs: Mapping[str, Sequence[Any]]
    """What changes with the content of each file; see :func:`~kullback.jobs.stamps.fingerprint`."""
    parameters: Mapping[str, Any]
    """By what messages call them, such as an option; None or False of one that was not given."""
    tasks: Sequence[Any]
    """Each as JSON can express it."""

    def to_json(self) -> str:
        """The plan as text."""
        return json.dumps(self._content())

    @property
    def key(self) -> str:
        """A short name, which another plan does not have."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def check_same(self, text: str, where: str) -> None:
        """Check that this plan is the one that was written.

        Raises:
            PosteriorFileError: if it is not; the message says what has changed.
        """
        try:
            before, now = json.loads(text), json.loads(self.to_json())
            changes = list(_changes(before, now))
        except (ValueError, KeyError, TypeError, AttributeError):
            changes = ["its plan cannot be read"]
        if changes:
            raise PosteriorFileError(
                f"{printable(where)}: --resume would mix two computations: {'; '.join(changes[:3])}. Undo that, or "
                "leave --resume out, which starts afresh."
            )

    def _content(self) -> dict[str, Any]:
        return {
            "kullback": __version__,
            "inputs": {path: list(stamp) for path, stamp in self.inputs.items()},
            "parameters": dict(self.parameters),
            "tasks": list(self.tasks),
        }


def _changes(before: Any, now: Any) -> Any:
    """What differs between two plans, in words."""
    if before["kullback"] != now["kullback"]:
        yield f"kullback was {before['kullback']} and is {now['kullback']}"
    files = before["inputs"], now["inputs"]
    for path in dict.fromkeys([*files[0], *files[1]]):
        if path not in files[1]:
            yield f"{printable(path)} is no longer read"
        elif path not in files[0]:
            yield f"{printable(path)} was not read"
        elif files[0][path] != files[1][path]:
            yield f"{printable(path)} has changed"
    values = before["parameters"], now["parameters"]
    for name in dict.fromkeys([*values[0], *values[1]]):
        was, is_ = (_said(given.get(name)) for given in values)
        if was != is_:
            yield f"{name} was {was} and is {is_}"
    if before["tasks"] != now["tasks"]:  # which most of the above changes, too
        yield "the rows are divided into other tasks"


def _said(value: Any) -> str:
    """The value of a parameter, in words."""
    if value is None or isinstance(value, bool):
        return "given" if value else "not given"
    return ", ".join(map(printable, value)) if isinstance(value, list) else printable(value)
