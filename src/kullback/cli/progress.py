"""A progress bar on the terminal."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Task

# The number of seconds after which the bar appears.
_DELAY = 1.0


@contextlib.contextmanager
def progress(description: str, unit: str | None = None) -> Iterator[Callable[[int, int | None], None]]:
    """A function that shows the number of steps done, and of all steps or None if that number is not known.

    The bar appears on stderr after one second, and only if stderr is a terminal. With a unit, such as ``rows``, it
    shows how many are done each second.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: "Task") -> Text:
            return Text(f"{task.speed:,.0f} {unit}/s" if unit and task.speed else "")

    started = time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        Speed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(description, total=None)

    def update(done: int, total: int | None) -> None:
        if not bar.live.is_started and time.monotonic() - started > _DELAY:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield update
    finally:
        if bar.live.is_started:
            bar.stop()
