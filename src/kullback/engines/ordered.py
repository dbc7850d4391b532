"""Results in the order of their tasks, of which few wait, and the exception of the first task that raises one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Failed:
    """What a task raised instead of returning a result."""

    error: BaseException


def attempt(work: Callable[[T], R], task: T) -> R | Failed:
    """The result of a task, or what it raised."""
    try:
        return work(task)
    except BaseException as error:
        return Failed(error)


def ordered(
    count: int, window: int, start: Callable[[int], None], finished: Callable[[], tuple[int, R | Failed]]
) -> Iterator[tuple[int, R]]:
    """The number and the result of each task, in order.

    Args:
        count: how many tasks there are.
        window: how many may have been started and not been handed on.
        start: starts the task of a number.
        finished: waits for any task that was started, and returns its number and its result.

    Raises:
        BaseException: what a task raised, in its turn: the same, whichever task is the first to end.
    """
    waiting: dict[int, R | Failed] = {}
    started, wanted = 0, count
    for number in range(count):
        while started < min(wanted, number + window):
            start(started)
            started += 1
        while number not in waiting:
            other, result = finished()
            waiting[other] = result
            if isinstance(result, Failed):
                wanted = min(wanted, other)
        outcome = waiting.pop(number)
        if isinstance(outcome, Failed):
            try:
                raise outcome.error
            finally:
                del outcome
        yield number, outcome
