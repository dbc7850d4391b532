"""Parts of a result, and the plan that they belong to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from kullback.engines.local import Local
from kullback.errors import PosteriorFileError
from kullback.gaussians.gaussian import Gaussian
from kullback.io.model import Posteriors
from kullback.io.row_outputs import row_output
from kullback.io.rows import ModelRows, Skipped
from kullback.jobs.divergences import RowDivergence, Total, stream_divergence
from kullback.jobs.parts import parts_of
from kullback.jobs.plan import Plan
from kullback.jobs.row_parts import RowParts

COLUMNS = {"id": np.arange(3), "kl": np.array([0.5, 1.0, 2.0])}


class Killed(BaseException):
    pass


def collect(place, plan, *, numbers, resume=False, publish=True, said=None):
    """Write these parts; without publishing, end as a killed process does not: with an exception."""
    tell = (lambda text: None) if said is None else said.append
    with parts_of(RowParts, row_output(str(place)), plan, resume=resume, say=tell) as parts:
        found = sorted(parts.finished())
        for number in numbers:
            parts.write(number, COLUMNS, {"number": number})
        if not publish:
            raise Killed
        parts.publish(list(parts.finished().values()))
    return found


def test_finished_parts_are_kept_and_others_are_not(tmp_path):
    place, plan = tmp_path / "out.csv", Plan({}, {"divergence": "kl"}, [[0, 3], [3, 6], [6, 9]])
    with pytest.raises(Killed) as caught:
        collect(place, plan, numbers=[0, 2, 1], publish=False)
    assert caught.value.__notes__ == ["3 of 3 parts are finished; the same command with --resume continues"]
    (data,) = tmp_path.glob(".out.csv.kullback-parts/*/data")
    # A power cut: half of one part, and no receipt of another.
    (data / "part-00000.csv").write_text("id,kl\n0,")
    (data.parent / "receipts" / "1.json").write_text("")
    assert collect(place, plan, numbers=[0, 1], resume=True) == [2]
    assert place.read_text() == "id,kl\n" + "0,0.5\n1,1.0\n2,2.0\n" * 3
    assert os.listdir(tmp_path) == ["out.csv"]


def test_without_resume_parts_are_removed_and_that_is_said(tmp_path):
    place, plan, said = tmp_path / "out.csv", Plan({}, {}, [0, 1]), []
    with pytest.raises(Killed):
        collect(place, plan, numbers=[0], publish=False)
    assert collect(place, plan, numbers=[0, 1], said=said) == []
    text = "1 of 2 parts are removed, which an interrupted run had finished; --resume would have kept them"
    assert said == [f"{place}: {text}"]
    with pytest.raises(Killed):
        collect(place, plan, numbers=[0], publish=False)
    collect(place, Plan({}, {"other": 1}, [0, 1]), numbers=[0, 1], said=said)
    assert said[1].endswith("parts of another computation are removed, which an interrupted run had finished")


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (Plan({"/a": [1, 2]}, {"scale": None}, [0, 1]), "/b is no longer read"),
        (Plan({"/a": [1, 3], "/b": [1, 2]}, {"scale": None}, [0, 1]), "/a has changed"),
        (Plan({"/a": [1, 2], "/b": [1, 2], "/c": []}, {"scale": None}, [0, 1]), "/c was not read"),
        (Plan({"/a": [1, 2], "/b": [1, 2]}, {"scale": "std"}, [0, 1]), "scale was not given and is std"),
        (Plan({"/a": [1, 2], "/b": [1, 2]}, {"--squared": True}, [0, 1]), "--squared was not given and is given"),
        (Plan({"/a": [1, 2], "/b": [1, 2]}, {"scale": None}, [0, 2]), "other tasks"),
    ],
)
def test_another_plan_is_not_continued(other, says, tmp_path):
    plan = Plan({"/a": [1, 2], "/b": [1, 2]}, {"scale": None}, [0, 1])
    with pytest.raises(Killed):
        collect(tmp_path / "out.npz", plan, numbers=[1], publish=False)
    with pytest.raises(PosteriorFileError, match=says):
        collect(tmp_path / "out.npz", other, numbers=[], resume=True)
    assert collect(tmp_path / "out.npz", plan, numbers=[0], resume=True) == [1]


def test_a_plan_that_is_damaged_is_said(tmp_path):
    plan = Plan({}, {}, [0, 1])
    with pytest.raises(Killed):
        collect(tmp_path / "out.npz", plan, numbers=[1], publish=False)
    for text in ("", "[]", "{}", json.dumps({"kullback": "0"})):
        (tmp_path / ".out.npz.kullback-parts" / "plan.json").write_text(text)
        with pytest.raises(PosteriorFileError, match=r"cannot be read|kullback was 0"):
            collect(tmp_path / "out.npz", plan, numbers=[], resume=True)


def test_one_output_is_written_by_one_process(tmp_path):
    plan = Plan({}, {}, [0])
    with parts_of(RowParts, row_output(str(tmp_path / "out.csv")), plan, resume=False, say=print) as parts:
        with pytest.raises(PosteriorFileError, match="another process is writing it"):
            collect(tmp_path / "out.csv", plan, numbers=[0])
        parts.write(0, COLUMNS, {})
        parts.publish(list(parts.finished().values()))
    assert os.listdir(tmp_path) == ["out.csv"]


def test_a_lock_is_of_the_folder_that_is_there(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    place, plan = tmp_path / "out.csv", Plan({}, {}, [0])
    options = {"resume": False, "say": print}
    first = parts_of(RowParts, row_output(str(place)), plan, **options)
    parts, lock = first.__enter__(), fcntl.flock

    def late(file, flags):
        """The first process ends when the second has opened the lock, and before it has it."""
        monkeypatch.setattr(fcntl, "flock", lock)
        parts.remove()
        first.__exit__(None, None, None)
        lock(file, flags)

    monkeypatch.setattr(fcntl, "flock", late)
    with parts_of(RowParts, row_output(str(place)), plan, **options) as second:
        assert second.folder.is_dir()
        with pytest.raises(PosteriorFileError, match="another process is writing it"):
            collect(place, plan, numbers=[0])
        second.write(0, COLUMNS, {})
        second.publish(list(second.finished().values()))
    assert os.listdir(tmp_path) == ["out.csv"]


def test_a_folder_that_another_process_removes_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    make = Path.mkdir

    def removed(path, *arguments, **options):
        monkeypatch.setattr(Path, "mkdir", make)
        make(path, *arguments, **options)
        path.rmdir()

    monkeypatch.setattr(Path, "mkdir", removed)
    assert collect(tmp_path / "out.csv", Plan({}, {}, [0]), numbers=[0]) == []
    assert os.listdir(tmp_path) == ["out.csv"]


# Takes a folder again and again, with a file in it that only one process at a time can make.
TAKING = """
import os, sys
from pathlib import Path
from kullback.errors import PosteriorFileError
from kullback.jobs.plan import Plan
from kullback.jobs.unfinished import remove, unfinished
target, taken = Path("out.csv").absolute(), 0
while taken < 40:
    try:
        with unfinished(target, "out", Plan({}, {}, []), lambda folder: "", resume=False, say=print) as folder:
            os.close(os.open("alone", os.O_CREAT | os.O_EXCL))
            (folder / "part").write_text("")
            os.unlink("alone")
            remove(folder.parent)
            taken += 1
    except PosteriorFileError as error:
        if str(error) != "out: another process is writing it.":
            raise
"""


def test_processes_that_take_turns_never_meet(tmp_path):
    pytest.importorskip("fcntl")
    running = [subprocess.Popen([sys.executable, "-c", TAKING], cwd=tmp_path) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_was_removing_is_not_continued(tmp_path, monkeypatch):
    place, plan = tmp_path / "out.csv", Plan({}, {}, [0, 1])
    with pytest.raises(Killed):
        collect(place, plan, numbers=[0], publish=False)

    def kill(*arguments, **options):
        raise Killed

    with monkeypatch.context() as killed:
        killed.setattr("kullback.jobs.unfinished.shutil.rmtree", kill)
        with pytest.raises(Killed):
            collect(place, plan, numbers=[0, 1])
    assert len(list(tmp_path.glob(".out.csv.kullback-parts/*/receipts/*.json"))) == 1
    assert collect(place, plan, numbers=[0, 1], resume=True) == []


@pytest.mark.parametrize("resume", [False, True])
def test_an_older_folder_that_a_killed_process_set_aside_comes_back(resume, tmp_path, monkeypatch):
    place, rename = f"{tmp_path}/out/", os.replace
    collect(place, Plan({}, {}, [0]), numbers=[0])
    plan, said = Plan({}, {}, [0, 1]), []

    def kill(old, new):
        rename(old, new)
        if Path(old).name == "out":
            raise Killed

    with monkeypatch.context() as killed:
        killed.setattr(os, "replace", kill)
        with pytest.raises(Killed):
            collect(place, plan, numbers=[0, 1])
    assert not (tmp_path / "out").exists()
    assert row_output(place.rstrip("/")).is_folder
    with pytest.raises(Killed):
        collect(place, plan, numbers=[0], publish=False, resume=resume, said=said)
    assert said[0] == f"{place}: the earlier result is back, which a run that was killed had set aside"
    assert os.listdir(tmp_path / "out") == ["part-00000.parquet"]
    collect(place, plan, numbers=[0, 1])
    assert os.listdir(tmp_path) == ["out"]
    assert sorted(os.listdir(tmp_path / "out")) == ["part-00000.parquet", "part-00001.parquet"]


def test_a_folder_is_replaced_and_a_link_is_followed(tmp_path):
    plan = Plan({}, {}, [0, 1])
    collect(f"{tmp_path}/out/", plan, numbers=[0, 1])
    os.symlink("out", tmp_path / "link")
    collect(tmp_path / "link", Plan({}, {}, [0]), numbers=[0])
    assert sorted(os.listdir(tmp_path)) == ["link", "out"]
    assert os.listdir(tmp_path / "out") == ["part-00000.parquet"]


def test_the_mean_is_that_of_exact_sums():
    total = Total(1, (1e16,)).merge(Total(1, (1.0,))).merge(Total(1, (-1e16,)))
    assert total.mean == 1 / 3
    assert Total(2, (1e308, 1e308)).mean == float("inf")
    assert np.isnan(Total().mean)
    skipped = Skipped(12, tuple(map(str, range(10)))).merge(Skipped(1, ("later",)))
    assert (skipped.count, len(skipped.first)) == (13, 10)


def test_text_is_streamed_in_order_with_one_header(monkeypatch):
    monkeypatch.setattr("kullback.jobs.divergences._NUMBERS", 2)
    mean = np.linspace(0, 2, 10).reshape(5, 2)
    gaussians = Gaussian.from_std(torch.tensor(mean), torch.ones(5, 2, dtype=torch.float64))
    rows = ModelRows((Posteriors("x", "x", gaussians, ["a", "b\x1b", "c", "d", "e"]),))
    assert [len(task) for task in rows.tasks(5)] == [3, 2]
    written, done = [], []
    total = stream_divergence(
        RowDivergence(rows, "kl_divergence", {}), written.append, Local(2), is_printed=True,
        progress=lambda *both: done.append(both),
    )  # fmt: skip
    lines = "".join(written).splitlines()
    assert lines[0] == "id,kl"
    assert [line.split(",")[0] for line in lines[1:]] == ["a", "b\\x1b", "c", "d", "e"]
    values = 0.5 * (mean**2).sum(1)
    np.testing.assert_allclose([float(line.split(",")[1]) for line in lines[1:]], values, rtol=1e-14)
    assert done == [(i, 5) for i in range(1, 6)]
    np.testing.assert_allclose(total.mean, values.mean(), rtol=1e-14)
