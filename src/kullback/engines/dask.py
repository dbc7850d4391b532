"""The processes of a Dask cluster, of this machine or of many."""

import contextlib
import functools
import io
import logging
import os
import pickle
import queue
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kullback.engines.local import check_workers, cores
from kullback.engines.ordered import Failed, attempt, ordered
from kullback.engines.processes import Processes

T = TypeVar("T")
R = TypeVar("R")

# How many neighbours are combined on the workers before they travel.
_GROUP = 16

# How often a task is handed out again whose workers died, each time more often than the scheduler allows.
_AGAIN = 5

# The seconds after which a scheduler that does not answer is one that is not there, or has no workers.
_TIMEOUT = 30

# The seconds that a result which is done is waited for at first, each time twice as long.
_PATIENCE = 5.0


class Dask:
    """The processes of a Dask cluster: those of ``scheduler``, or of a cluster of this machine.

    A task whose worker dies is computed by another. An exception of a task is raised as itself, after the results of
    the tasks before it.

    Args:
        scheduler: the address of a running scheduler, as ``tcp://host:8786``; without one, processes of this machine
            are started, and ended by :meth:`close`.
        workers: how many processes are started; without it as many as there are cores for this process.

    Raises:
        ConnectionError: if no scheduler answers.
        ImportError: if Dask is not installed.
        ValueError: for workers beside a scheduler, which has its own, or a number that is not positive.
    """

    def __init__(self, scheduler: str | None = None, workers: int | None = None) -> None:
        check_workers(workers)
        if scheduler and workers:
            raise ValueError(f"the scheduler {scheduler} has its own workers. Leave workers={workers} out.")
        try:
            from distributed import Client
            from distributed.utils import silence_logging_cmgr
        except ImportError as error:
            raise ImportError("Dask is not installed. Install it: pip install 'kullback[dask]'.") from error

        self._scheduler = scheduler
        self._processes: Processes | None = None
        with contextlib.ExitStack() as stack:
            # What goes wrong is raised as an exception, or mended; both have nothing to say on the terminal.
            stack.enter_context(silence_logging_cmgr(logging.CRITICAL + 1))
            if scheduler:
                try:
                    _knock(scheduler)
                    self._client = stack.enter_context(
                        Client(scheduler, timeout=_TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]
                    )
                except (OSError, ValueError) as error:
                    raise ConnectionError(
                        f"no Dask scheduler answers at {scheduler}. Start one, dask scheduler, and give its address."
                    ) from error
            else:
                self._processes = stack.enter_context(Processes(workers or cores()))
                self._client = stack.enter_context(
                    Client(self._processes.cluster, set_as_default=False)  # type: ignore[no-untyped-call]
                )
            self._stack = stack.pop_all()

    @property
    def workers(self) -> int:
        """How many tasks are worked on at a time."""
        if self._processes:
            return self._processes.count
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    @property
    def processes(self) -> int:
        """How many workers the cluster has."""
        # Those of this machine may still be starting.
        return self._processes.count if self._processes else len(self._client.nthreads())

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], combine: Callable[[R, R], R] | None = None
    ) -> Iterator[tuple[int, R]]:
        """The results in the order of the tasks, each of one; with ``combine`` each of up to 16, combined by a worker.

        Raises:
            ConnectionError: if the scheduler is lost, or has no workers, or the workers of a task die again and again.
        """
        import dask

        size = _GROUP if combine else 1
        starts = range(0, len(tasks), size)
        finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
        running: dict[Any, int] = {}
        times = dict.fromkeys(range(len(starts)), 0)
        client = self._client
        # What the function holds travels once to each worker, however many tasks there are; so it may be large.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
            function = client.submit(pickle.loads, _sent(work), pure=False)

        def of(group: int) -> Sequence[T]:
            return tasks[starts[group] : starts[group] + size]

        def start(group: int) -> None:
            times[group] += 1
            parts = [client.submit(attempt, function, task, pure=False) for task in of(group)]
            future = parts[0] if combine is None else client.submit(_combined, combine, *parts, pure=False)
            running[future] = group
            future.add_done_callback(finished.put)

        def wait() -> tuple[int, R | Failed]:
            from distributed import TimeoutError as NotYet
            from distributed.scheduler import KilledWorker

            while True:
                future = self._next(finished)
                group = running.pop(future)
                try:
                    return group, self._result(future, _PATIENCE * 2 ** times[group])
                except (KilledWorker, NotYet) as error:
                    # Its worker has died, perhaps after it was done; a large result may have taken longer to arrive.
                    if times[group] > _AGAIN:
                        raise ConnectionError(
                            f"the workers of one task died {_AGAIN + 1} times in a row, most likely for want of "
                            "memory. Use fewer workers on a machine, or give each more memory."
                        ) from error
                    if function.status == "error":
                        function.retry()
                    start(group)

        window = -(-2 * self.workers // size) + 2
        try:
            for group, result in ordered(len(starts), window, start, wait):
                yield len(of(group)), result
        finally:
            with contextlib.suppress(Exception):
                client.cancel(list(running), reason="no longer wanted")

    def _next(self, finished: "queue.SimpleQueue[Any]") -> Any:
        """The next future that is done."""
        checked = time.monotonic()
        while True:
            if self._processes:
                self._processes.mend()
            with contextlib.suppress(queue.Empty):
                return finished.get(timeout=1)
            if time.monotonic() - checked > _TIMEOUT:
                self._check_workers()
                checked = time.monotonic()

    def _result(self, future: Any, patience: float) -> Any:
        """The result of a future that is done.

        Raises:
            distributed.TimeoutError: if it does not arrive in so many seconds.
        """
        from concurrent.futures import CancelledError

        try:
            result = future.result(timeout=patience)
        except CancelledError as error:
            where = f" {self._scheduler}" if self._scheduler else ""
            raise ConnectionError(f"the connection to the Dask scheduler{where} was lost.") from error
        if self._processes:
            self._processes.succeed()
        return result

    def _check_workers(self) -> None:
        """Raise a ConnectionError if the scheduler that was given has no workers."""
        if self._scheduler and not self._client.nthreads():
            raise ConnectionError(
                f"the Dask scheduler {self._scheduler} has no workers. Start some: dask worker {self._scheduler}."
            )

    def close(self) -> None:
        """Leave the cluster, and end it if this object started it."""
        self._stack.close()

    def __enter__(self) -> "Dask":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _knock(scheduler: str) -> None:
    """Raise an OSError or a ValueError if nothing listens there: a client that finds nobody is not closed cleanly."""
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.comm.registry import get_backend

    scheme, place = parse_address(scheduler)
    get_backend(scheme)
    if scheme in ("tcp", "tls", "ws", "wss"):
        socket.create_connection(parse_host_port(place), timeout=_TIMEOUT).close()


def _sent(work: Callable[[T], R]) -> bytes:
    """A function as it travels: its paths are absolute, as the processes may work in another folder."""
    from cloudpickle import CloudPickler

    class Pickler(CloudPickler):  # type: ignore[misc]
        def reducer_override(self, part: Any) -> Any:
            if isinstance(part, Path) and not part.is_absolute():
                return Path, (os.path.abspath(part),)
            return super().reducer_override(part)

    stream = io.BytesIO()
    Pickler(stream).dump(work)
    return stream.getvalue()


def _combined(combine: Callable[[R, R], R], *parts: R | Failed) -> R | Failed:
    """All parts as one, or the first that failed."""
    results: list[R] = []
    for part in parts:
        if isinstance(part, Failed):
            return part
        results.append(part)
    return functools.reduce(combine, results)
