"""What an engine provides."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Runs a function for each of many tasks."""

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], combine: Callable[[R, R], R] | None = None
    ) -> Iterator[tuple[int, R]]:
        """The results in the order of the tasks, each with the number of tasks that are done with it.

        Args:
            work: the function of a task; it can be pickled, as its results can.
            tasks: what it is called with; few are worked on at a time, so that few results wait.
            combine: a function of two neighbouring results; with it, the engine may combine neighbours before they
                arrive.
        """

    @property
    def workers(self) -> int:
        """How many tasks are worked on at a time."""

    @property
    def processes(self) -> int:
        """How many other processes work, each of which holds what a function holds."""

    def close(self) -> None:
        """Release what was started. An engine is a context manager that calls it."""

    def __enter__(self) -> "Engine": ...

    def __exit__(self, *error: Any) -> None: ...
