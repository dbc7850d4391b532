"""Columns of rows in parts: none is left out in silence, and none is lost that is finished."""

from types import SimpleNamespace

import numpy as np
import pytest

from kullback.engines.local import Local
from kullback.errors import PosteriorFileError
from kullback.io.row_outputs import row_output
from kullback.jobs.row_parts import write_rows


class Counting:
    """Rows whose values are their numbers; of some tasks no file can be read."""

    def __init__(self, unreadable=()):
        self.unreadable = unreadable

    def part(self, rows):
        if rows.start in self.unreadable:
            raise PosteriorFileError("a.npz: cannot be read: Connection timed out.")
        return {"id": np.array(rows), "kl": np.array(rows, dtype=float)}, {}


def write(place, *, work=None, engine=None, resume=False, said=None):
    tasks = [range(start, start + 3) for start in range(0, 12, 3)]
    tell = (lambda text: None) if said is None else said.append
    return write_rows(
        work or Counting(), tasks, row_output(str(place)), [], {}, engine or Local(1), resume=resume,
        progress=lambda done, whole: None, say=tell,
    )  # fmt: skip


def test_an_input_that_cannot_be_read_for_a_while_costs_no_finished_part(tmp_path):
    place, said = tmp_path / "out.csv", []
    with pytest.raises(PosteriorFileError, match="timed out") as caught:
        write(place, work=Counting([9]))
    (note,) = caught.value.__notes__
    assert note == "3 of 4 parts are finished; the same command with --resume continues while the inputs are unchanged"
    write(place, resume=True, said=said)
    assert said == [f"{place}: 3 of 4 parts were finished"]
    assert [line.split(",")[0] for line in place.read_text().splitlines()[1:]] == [str(i) for i in range(12)]


class Hiding(Local):
    """An engine of other machines: when all tasks are done, this machine does not see a receipt."""

    def __init__(self, folder):
        super().__init__(1)
        self.folder = folder

    def map(self, work, tasks, combine=None):
        yield from super().map(work, tasks, combine)
        (receipt,) = self.folder.glob(".out.csv.kullback-parts/*/receipts/2.json")
        receipt.rename(self.folder / "hidden")
        self.receipt = receipt

    def show(self, seconds):
        if seconds:
            (self.folder / "hidden").rename(self.receipt)


def test_a_part_that_cannot_be_seen_is_not_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("kullback.jobs.parts._WAITS", (0.0, 0.0))
    with pytest.raises(
        OSError, match=r"out\.csv: 1 of 4 parts were written and cannot be seen in [^\n]*folder\."
    ) as caught:
        write(tmp_path / "out.csv", engine=Hiding(tmp_path))
    assert caught.value.__notes__ == ["3 of 4 parts are finished; the same command with --resume continues"]
    assert not (tmp_path / "out.csv").exists()
    assert [receipt["rows"] for receipt in write(tmp_path / "out.csv", resume=True)] == [3] * 4
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 13


def test_a_part_that_is_seen_late_is_waited_for(tmp_path, monkeypatch):
    engine = Hiding(tmp_path)
    monkeypatch.setattr("kullback.jobs.parts.time", SimpleNamespace(sleep=engine.show))
    write(tmp_path / "out.csv", engine=engine)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 13
