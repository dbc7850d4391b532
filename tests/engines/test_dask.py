"""Tasks in the processes of a real cluster."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from engines.work import At, Large, as_list, bad_at_five, bad_sooner_the_later, deadly, joined, process_of, slow

from kullback.engines import dask as dask_engine
from kullback.engines.dask import Dask
from kullback.errors import PosteriorFileError


def alive(engine):
    """The processes of the cluster that have not ended."""
    return [process.pid for process in engine._processes._running if process.poll() is None]


@pytest.fixture(scope="module")
def engine():
    with Dask(workers=2) as cluster:
        yield cluster


def test_results_come_in_the_order_of_the_tasks(engine):
    assert engine.workers == 2
    assert list(engine.map(slow, range(30))) == [(1, i) for i in range(30)]
    assert list(engine.map(slow, [])) == []


def test_neighbours_are_combined_in_order_before_they_arrive(engine):
    results = list(engine.map(as_list, range(40), joined))
    assert [count for count, _ in results] == [16, 16, 8]
    assert [number for _, result in results for number in result] == list(range(40))


class Counted(Sequence):
    """Tasks that count how many are cut out at a time."""

    def __init__(self, count):
        self.tasks, self.most = range(count), 0

    def __len__(self):
        return len(self.tasks)

    def __getitem__(self, index):
        found = self.tasks[index]
        self.most = max(self.most, len(found) if isinstance(index, slice) else 1)
        return found


@pytest.mark.parametrize(("combine", "most"), [(None, 1), (joined, 16)])
def test_no_more_tasks_are_cut_out_than_are_handed_out(engine, combine, most):
    tasks = Counted(60)
    list(engine.map(as_list, tasks, combine))
    assert tasks.most == most


def test_the_work_is_done_by_other_processes(engine):
    pids = {pid for _, pid in engine.map(process_of, range(20))}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_an_exception_arrives_as_itself(engine, capfd):
    with pytest.raises(PosteriorFileError, match=r"^a\.npz: row 5$"):
        list(engine.map(bad_at_five, range(1000)))
    with pytest.raises(PosteriorFileError, match=r"^a\.npz: row 5$"):
        list(engine.map(bad_at_five, range(1000), joined))
    for combine in (None, joined):
        with pytest.raises(PosteriorFileError, match=r"^a\.npz: row 0$"):
            list(engine.map(bad_sooner_the_later, range(1000), combine))
    assert capfd.readouterr() == ("", "")


def test_a_large_function_travels_without_a_warning(engine):
    assert [n for _, n in engine.map(Large(), range(4))] == [20_000_000 + i for i in range(4)]


def test_a_process_in_another_folder_finds_the_same_file(engine):
    assert [path for _, path in engine.map(At(Path("a.npz")), range(1))] == [os.path.abspath("a.npz")]


@pytest.mark.parametrize("combine", [None, joined])
def test_workers_that_are_killed_change_nothing(engine, combine, capfd):
    done, kills = [], 0
    for _, result in engine.map(slow if combine is None else as_list, range(200), combine):
        done += [result] if combine is None else result
        if len(done) % 40 == 1 or combine:
            pids = alive(engine)
            if pids:
                os.kill(pids[kills % len(pids)], 9)
                kills += 1
    assert done == list(range(200))
    assert kills >= 2
    assert capfd.readouterr() == ("", "")


def test_results_that_are_lost_before_they_are_fetched_are_computed_again(monkeypatch):
    monkeypatch.setattr(dask_engine, "_PATIENCE", 0.2)
    with Dask(workers=1) as engine:
        results = engine.map(slow, range(10))
        # Four tasks are started at a time: while this one stops here, the last of them end, and nobody fetches them.
        done = [next(results)[1] for _ in range(4)]
        time.sleep(1)
        (pid,) = alive(engine)
        os.kill(pid, 9)
        time.sleep(0.5)
        # Their worker died just after it was last looked for.
        looks, mend = [], engine._processes.mend
        monkeypatch.setattr(engine._processes, "mend", lambda: looks.append(1) if not looks else mend())
        assert done + [i for _, i in results] == list(range(10))


def test_workers_that_are_killed_while_they_start_change_nothing(engine):
    for seconds in (0, 0.1, 0.4, 0.8):
        time.sleep(seconds)
        for pid in alive(engine):
            os.kill(pid, 9)
        engine._processes.mend()
    assert [n for _, n in engine.map(slow, range(10))] == list(range(10))


def test_a_task_that_kills_its_workers_is_given_up(monkeypatch):
    monkeypatch.setattr(dask_engine, "_AGAIN", 0)
    with Dask(workers=1) as engine, pytest.raises(ConnectionError, match=r"died.*memory"):
        list(engine.map(deadly, range(1)))


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def scheduler():
    """A scheduler in a process of its own, with a worker."""
    address = f"tcp://127.0.0.1:{_free_port()}"
    # The worker imports the functions of the tests.
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    quiet = {
        "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, "PYTHONPATH": path},
    }  # fmt: skip
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard", "--host", address]
    with subprocess.Popen(command, **quiet) as serving:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", "--no-dashboard", "--no-nanny", address]
        with subprocess.Popen([*command, "--nthreads", "1"], **quiet) as working:
            try:
                yield address, serving
            finally:
                working.kill()
                serving.kill()


def test_a_scheduler_that_runs_is_used_and_its_loss_is_said(scheduler, capfd):
    address, serving = scheduler
    engine = None
    for _ in range(100):
        try:
            engine = Dask(address)
            break
        except ConnectionError:
            time.sleep(0.1)
    with engine:
        assert [n for _, n in engine.map(slow, range(5))] == list(range(5))
        results = engine.map(slow, range(1000))
        next(results)
        serving.kill()
        with pytest.raises(ConnectionError, match=f"^the connection to the Dask scheduler {address} was lost.$"):
            list(results)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("address", ["nonsense", "bar://x:1", "tcp://127.0.0.1", "tcp://127.0.0.1:1"])
def test_an_address_without_a_scheduler_is_said_at_once(address):
    with pytest.raises(ConnectionError, match=f"no Dask scheduler answers at {address}"):
        Dask(address)


def test_a_cluster_has_its_own_workers():
    with pytest.raises(ValueError, match="has its own workers"):
        Dask("tcp://127.0.0.1:8786", workers=3)


def test_a_missing_library_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'kullback\[dask\]'"):
        Dask()
