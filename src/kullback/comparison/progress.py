"""Progress through parts that take unequal time."""

from collections.abc import Callable


class Progress:
    """What was done of all steps, told to a caller who wants to know."""

    def __init__(self, steps: int, progress: Callable[[int, int], None] | None) -> None:
        self._done, self._steps, self._tell = 0.0, steps, progress or (lambda done, total: None)

    def add(self, steps: float) -> None:
        """Some steps more."""
        self._done += steps
        self._tell(round(self._done), self._steps)

    def finish(self) -> None:
        """All steps, also those that were not needed."""
        if round(self._done) < self._steps:
            self._tell(self._steps, self._steps)
