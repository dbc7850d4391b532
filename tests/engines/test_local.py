"""Tasks in threads."""

import threading
import time

import pytest
import torch

from kullback import kernels
from kullback.engines.local import Local, Stopped, going_on
from kullback.errors import PosteriorFileError


def test_results_come_in_the_order_of_the_tasks():
    def work(i):
        time.sleep(0.01 * (i % 3))
        return i * i

    with Local(4) as engine:
        assert engine.workers == 4
        assert list(engine.map(work, range(20))) == [(1, i * i) for i in range(20)]
        assert list(engine.map(work, [])) == []


def test_tasks_run_beside_each_other():
    meeting = threading.Barrier(3, timeout=30)
    assert [n for _, n in Local(3).map(lambda i: meeting.wait() * 0 + i, range(3))] == [0, 1, 2]


def test_few_results_wait():
    started = []
    results = Local(2).map(started.append, range(100))
    next(results)
    time.sleep(0.1)
    assert len(started) <= 1 + 2 + 2
    results.close()
    assert len(started) <= 1 + 2 + 2


def test_an_exception_is_raised_in_its_turn_and_ends_the_tasks_after_it():
    failed, ended = threading.Event(), threading.Event()
    started = []

    def work(i):
        started.append(i)
        if i == 0:
            assert failed.wait(10)
            return "before"
        if i == 1:
            failed.set()
            raise PosteriorFileError("row 1")
        try:
            for _ in range(10_000):
                going_on()
                time.sleep(0.01)
        except Stopped:
            ended.set()
            raise

    results = Local(2).map(work, range(1000))
    assert next(results) == (1, "before")
    with pytest.raises(PosteriorFileError, match=r"^row 1$"):
        next(results)
    assert ended.wait(10)
    assert set(started) <= {0, 1, 2, 3}


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_exception_is_that_of_the_first_task_whichever_ends_first(workers):
    def work(i):
        time.sleep(0.03 / (1 + i))
        raise PosteriorFileError(f"row {i}")

    with pytest.raises(PosteriorFileError, match=r"^row 0$"):
        list(Local(workers).map(work, range(1000)))


def test_the_cores_are_shared_and_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(8)
        for workers in (1, 2):
            threads = {n for _, n in Local(workers).map(lambda _: torch.get_num_threads(), range(3))}
            assert threads == {1}
            assert torch.get_num_threads() == 8
    finally:
        torch.set_num_threads(before)


def test_a_kernel_that_was_chosen_is_used_in_every_thread():
    with kernels.use("reference"):
        chosen = {name for _, name in Local(2).map(lambda _: kernels.choice.current().backends[0].name, range(4))}
    assert chosen <= {"reference"} or all("reference" in name for name in chosen)


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(workers):
    with pytest.raises(ValueError, match=f"got {workers}"):
        Local(workers)


def test_torch_gets_its_threads_back_after_blocks_that_overlap():
    before = torch.get_num_threads()
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
    found = {}

    def first():
        torch.set_num_threads(8)
        results = Local(1).map(lambda _: torch.get_num_threads(), range(2))
        found["in the first"] = next(results)[1]
        first_is_in.set()
        assert second_is_in.wait(10)
        list(results)
        found["after the first"] = torch.get_num_threads()
        first_is_out.set()

    def second():
        assert first_is_in.wait(10)
        results = Local(1).map(lambda i: not i or (first_is_out.wait(10) and torch.get_num_threads()), range(3))
        next(results)
        second_is_in.set()
        found["in the second"] = [n for _, n in results]
        found["after the second"] = torch.get_num_threads()

    def new():
        found["of a new thread"] = torch.get_num_threads()

    try:
        for together in ((first, second), (new,)):
            threads = [threading.Thread(target=work) for work in together]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert found == {
            "in the first": 1, "after the first": 8, "in the second": [1, 1], "after the second": 8,
            "of a new thread": 8,
        }  # fmt: skip
    finally:
        torch.set_num_threads(before)
