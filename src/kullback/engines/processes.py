"""A Dask cluster of processes of this machine, which stays whole when any of them is killed at any moment."""

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
from typing import Any

# How many processes may end without a result between them, for each that there should be.
_DEATHS = 50


class Processes:
    """A scheduler in this process, and processes of one thread each that work for it and say nothing.

    They end with this process, and one that has ended is replaced. (The nannies of Dask do not replace a process that
    was killed while it started.)
    """

    def __init__(self, workers: int) -> None:
        from distributed import LocalCluster

        self.count = workers
        self._deaths = 0
        self._running: list[subprocess.Popen[bytes]] = []
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kullback-", ignore_cleanup_errors=True))
            self.cluster = stack.enter_context(
                LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=0,
                    host="127.0.0.1",
                    dashboard_address=None,
                    # Without a dashboard the scheduler still serves HTTP: at any port, and for this machine alone.
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                    silence_logs=logging.CRITICAL + 1,
                )
            )
            self._command = [
                sys.executable, "-m", "distributed.cli.dask_worker", self.cluster.scheduler_address,
                "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard",
                "--dashboard-address", "127.0.0.1:0", "--local-directory", folder, "--death-timeout", "60",
                "--preload", "torch",  # which takes longest, while there is nothing to compute yet
            ]  # fmt: skip
            stack.callback(self._end)
            self.mend()
            self._stack = stack.pop_all()

    def mend(self) -> None:
        """Replace the processes that have ended; to be called now and then.

        Raises:
            ConnectionError: if all of them end, again and again.
        """
        alive = [process for process in self._running if process.poll() is None]
        self._deaths += len(self._running) - len(alive)
        if self._deaths > _DEATHS * self.count:
            raise ConnectionError(
                f"{self._deaths} processes of Dask ended in a row and computed nothing. This shows why: dask worker "
                f"{self.cluster.scheduler_address} --no-nanny."
            )
        # What this process can import, they can; each has one thread for the arithmetic, too. Nobody looks at the
        # profiles that Dask takes a hundred times a second.
        path = os.pathsep.join(filter(None, (place or os.getcwd() for place in sys.path)))
        one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        unwatched = {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
        while len(alive) < self.count:
            alive.append(
                subprocess.Popen(
                    self._command,
                    env={**os.environ, **one, **unwatched, "PYTHONPATH": path},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C of a terminal is for this process, which ends the others
                )
            )
        self._running = alive

    def succeed(self) -> None:
        """A result has arrived: the processes do work."""
        self._deaths = 0

    def _end(self) -> None:
        for process in self._running:
            process.kill()
        for process in self._running:
            process.wait()

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()
