"""The progress of passes on the disk: killed, interrupted and damaged runs that go on to the same bytes."""

import errno
import os
import random
import signal
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from jobs.runs import TASKS, finish, make_inputs, start

from kullback.cli.app import commands
from kullback.errors import PosteriorFileError
from kullback.jobs.checkpoint import checkpoint
from kullback.jobs.plan import Plan

COMPARE = ("compare", "a.npz", "b.npz", "--json", "out.json", "--brief", "--no-aggregate")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The bytes of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    make_inputs(folder)
    code, said = finish(start(folder, *COMPARE))
    assert code == 0, said
    assert sorted(os.listdir(folder)) == ["a.npz", "b.npz", "out.json"]
    return (folder / "out.json").read_bytes()


@pytest.fixture
def folder(tmp_path):
    make_inputs(tmp_path)
    return tmp_path


def wait_for_progress(folder, name, process):
    """Wait until something of a pass is saved, or the process has ended."""
    while process.poll() is None and not list(folder.glob(f".out.json.kullback-parts/*/{name}.progress")):
        time.sleep(0.001)


@pytest.mark.parametrize(("name", "wait"), [("summary", 0.0), ("summary", 0.5), ("leftovers", 0.5)])
def test_a_killed_comparison_resumes_to_the_same_bytes(name, wait, folder, undisturbed):
    process = start(folder, *COMPARE)
    wait_for_progress(folder, name, process)
    time.sleep(wait * random.random())
    process.kill()
    process.communicate()
    # It may be killed after the result has its name.
    assert not (folder / "out.json").exists() or (folder / "out.json").read_bytes() == undisturbed
    code, said = finish(start(folder, *COMPARE, "--resume"))
    assert code == 0, said
    assert (folder / "out.json").read_bytes() == undisturbed
    assert sorted(os.listdir(folder)) == ["a.npz", "b.npz", "out.json"]


def test_an_interruption_says_how_to_go_on_and_another_computation_is_refused(folder, undisturbed):
    process = start(folder, *COMPARE)
    wait_for_progress(folder, "leftovers", process)
    process.send_signal(signal.SIGTERM)
    code, said = finish(process)
    assert code == 143
    assert said.startswith(f"terminated; {TASKS} of {TASKS} tasks of the summary and ")
    assert said.strip().endswith("tasks of the leftovers are finished; the same command with --resume continues")

    code, said = finish(start(folder, *COMPARE, "--resume", "--top", "3"))
    assert (code, len(said.splitlines())) == (2, 1)
    assert "--top was 10 and is 3" in said

    code, said = finish(start(folder, *COMPARE, "--resume"))
    assert code == 0
    assert said.startswith(f"note: out.json: {TASKS} of {TASKS} tasks of the summary and ")
    assert (folder / "out.json").read_bytes() == undisturbed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("a.npz", "b.npz"), "--resume continues the writing of a file. Give --json FILE or --report FILE."),
        (("a.npz", "b.npz", "--json", "-"), "--resume continues the writing of a file."),
        (("a.npz", "b.npz", "a.npz", "--json", "x.json"), "--resume continues the comparison of two models, or"),
    ],
)
def test_what_cannot_be_resumed_is_said(arguments, says, folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(commands, ["compare", *arguments, "--resume"])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert says in result.stderr


class Sum:
    def __init__(self, text):
        self.text = text

    def to_json(self):
        return self.text


class Killed(BaseException):
    pass


def passes(folder, monkeypatch, **options):
    for name in ("_SECONDS", "_TIMES", "_SECONDS_OF_PASS"):
        monkeypatch.setattr(f"kullback.jobs.checkpoint.{name}", 0)
    read = {"first": Sum, "second": lambda text: Sum(str(int(text)))}
    said = options.pop("said", [])
    plan = Plan({}, {}, list(range(9)))
    return checkpoint(folder / "out.json", "out.json", plan, read, say=said.append, **{"resume": True} | options)


def test_progress_is_kept_until_the_block_ends_well(tmp_path, monkeypatch):
    def kill():
        with passes(tmp_path, monkeypatch) as state:
            assert state.load("first") is None
            state.save("first", 3, Sum("a\nb"))
            state.save("second", 4, Sum("7"))
            raise Killed

    with pytest.raises(Killed) as caught:
        kill()
    finished = "3 of 9 tasks of the first and 4 of 9 tasks of the second"
    assert caught.value.__notes__ == [f"{finished} are finished; the same command with --resume continues"]
    said: list[str] = []
    with passes(tmp_path, monkeypatch, said=said) as state:
        assert [(done, of.text) for done, of in map(state.load, ("first", "second"))] == [(3, "a\nb"), (4, "7")]
    assert said == [f"out.json: {finished} were finished"]
    assert os.listdir(tmp_path) == []


def test_progress_that_is_damaged_is_refused_in_one_line(tmp_path, monkeypatch):
    def damage():
        with passes(tmp_path, monkeypatch) as state:
            state.save("first", 3, Sum("a"))
            state.save("second", 4, Sum("7"))
            (path,) = tmp_path.glob(".out.json.kullback-parts/*/second.progress")
            path.write_text("4\nx")
            state.load("second")

    says = r"^[^\n]*second.progress: what was saved was damaged, and is removed: [^\n]* through the second again\."
    with pytest.raises(PosteriorFileError, match=says) as caught:
        damage()
    (note,) = caught.value.__notes__
    assert note.startswith("3 of 9 tasks of the first are finished; ")
    with passes(tmp_path, monkeypatch) as state:
        assert state.load("first")[0] == 3
        assert state.load("second") is None
    assert os.listdir(tmp_path) == []


def test_a_computation_goes_on_where_progress_cannot_be_saved(tmp_path, monkeypatch):
    said: list[str] = []

    def full(self, *arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with passes(tmp_path, monkeypatch, said=said) as state:
        with monkeypatch.context() as disk:
            disk.setattr(Path, "write_text", full)
            state.save("first", 1, Sum(""))
        state.save("first", 2, Sum(""))
        assert state.load("first") is None
    assert [text.partition(": ")[2] for text in said] == [
        "progress can no longer be saved there: No space left on device"
    ]
