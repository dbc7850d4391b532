"""Results in the order of their tasks, of which few wait."""

from collections.abc import Callable, Iterator
from typing import TypeVar

R = TypeVar("R")


def ordered(
    count: int, window: int, start: Callable[[int], None], finished: Callable[[], tuple[int, R]]
) -> Iterator[tuple[int, R]]:
    """The number and the result of each task, in order.

    Args:
        count: how many tasks there are.
        window: how many may have been started and not been handed on.
        start: starts the task of a number.
        finished: waits for any task that was started, and returns its number and its result.
    """
    waiting: dict[int, R] = {}
    started = 0
    for number in range(count):
        while started < min(count, number + window):
            start(started)
            started += 1
        while number not in waiting:
            other, result = finished()
            waiting[other] = result
        yield number, waiting.pop(number)
