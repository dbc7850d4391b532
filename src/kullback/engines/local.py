"""Threads of this process. What takes the time, torch, pyarrow and the C kernels, runs beside other threads."""

import contextvars
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from kullback.engines.ordered import Failed, attempt, ordered

T = TypeVar("T")
R = TypeVar("R")

# The seconds that the end waits for tasks that go on, so that few write when the caller cleans up.
_PATIENCE = 1.0


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _OneThreadOfTorch:
    """A block in which torch has one thread for each operation; several threads may be in it at a time.

    torch keeps a number for each thread. A thread that has none yet takes the last that any thread has set, when it
    first asks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside, self._before = 0, 1

    def use_one_thread(self, unless: threading.Event) -> None:
        """For the thread that calls it, unless the block that started it is left."""
        import torch

        with self._lock:
            if not unless.is_set():
                torch.set_num_threads(1)
                torch.get_num_threads()

    def __enter__(self) -> None:
        import torch

        with self._lock:
            found = torch.get_num_threads()
            if not self._inside:
                self._before = found
            self._inside += 1
            torch.set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        import torch

        with self._lock:
            self._inside -= 1
            torch.set_num_threads(self._before)


_TORCH = _OneThreadOfTorch()


class Local:
    """Threads of this process, as many as it may use cores unless ``workers`` says how many.

    While tasks run, each uses one thread of torch: in batches that fit into the caches, more would wait for each other.
    An exception of a task is raised after the results of the tasks before it. Tasks that are still running then, or
    when the caller stops, end where they ask :func:`going_on`; what they return is dropped.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = check_workers(workers) or cores()

    @property
    def workers(self) -> int:
        """How many tasks are worked on at a time."""
        return self._workers

    @property
    def processes(self) -> int:
        """None: threads share what a function holds."""
        return 0

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], combine: Callable[[R, R], R] | None = None
    ) -> Iterator[tuple[int, R]]:
        """The results in the order of the tasks, each of one; ``combine`` is not used."""
        del combine
        started: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        finished: queue.SimpleQueue[tuple[int, R | Failed]] = queue.SimpleQueue()
        stop = threading.Event()

        def serve() -> None:
            _STOP.set(stop)
            _TORCH.use_one_thread(unless=stop)
            while (number := started.get()) is not None and not stop.is_set():
                finished.put((number, attempt(work, tasks[number])))

        serving = min(self._workers, len(tasks))
        # They are no bar to the end of the process: an interruption does not wait for what they compute.
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(serve,), daemon=True)
                   for _ in range(serving)]  # fmt: skip
        with _TORCH:
            for thread in threads:
                thread.start()
            try:
                for _, result in ordered(len(tasks), self._workers + 2, started.put, finished.get):
                    yield 1, result
            finally:
                stop.set()
                for _ in threads:
                    started.put(None)
                end = time.monotonic() + _PATIENCE
                for thread in threads:
                    thread.join(max(0.0, end - time.monotonic()))

    def close(self) -> None:
        """Nothing: the threads end with the tasks."""

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


class Stopped(BaseException):
    """The result of a task is no longer wanted."""


_STOP: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar("kullback.stop", default=None)


def going_on() -> None:
    """To be called by a task between batches.

    Raises:
        Stopped: if what it computes is no longer wanted.
    """
    stop = _STOP.get()
    if stop is not None and stop.is_set():
        raise Stopped


def check_workers(workers: int | None) -> int | None:
    """The number of workers that was asked for.

    Raises:
        ValueError: if it is not positive.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers is a positive number, got {workers}.")
    return workers
