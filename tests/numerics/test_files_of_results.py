"""Files and folders that appear under a name only when they are whole."""

import os
import subprocess
import sys

import pytest

from kullback.numerics.files import placed, publish, restore

# What a process does that is killed when it has called a function so many times.
KILLED = """
import os, shutil, sys
from pathlib import Path
from kullback.numerics.files import publish
module, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
function = getattr(sys.modules[module], name)
def killed(*arguments, **options):
    global count
    if count == 0:
        os._exit(9)
    count -= 1
    return function(*arguments, **options)
setattr(sys.modules[module], name, killed)
publish(Path("work/new"), Path("out"))
"""


def folder(path, text):
    path.mkdir(parents=True)
    (path / "data").write_text(text)
    return path


def text(path):
    return (path / "data").read_text()


@pytest.fixture
def place(tmp_path):
    folder(tmp_path / "work" / "new", "new")
    return folder(tmp_path / "out", "old")


def kill(place, *arguments):
    command = [sys.executable, "-c", KILLED, *map(str, arguments)]
    assert subprocess.run(command, cwd=place.parent, check=False).returncode == 9


def test_a_folder_takes_the_place_of_another(place):
    publish(place.parent / "work" / "new", place)
    assert text(place) == "new"
    assert sorted(os.listdir(place.parent)) == ["out", "work"]
    assert os.listdir(place.parent / "work") == []


def test_a_folder_that_was_set_aside_comes_back(place):
    said = []
    kill(place, "os", "replace", 1)
    assert not place.exists()
    restore(place, said.append)
    assert text(place) == "old"
    assert said == ["the earlier result is back, which a run that was killed had set aside"]
    restore(place, said.append)
    assert len(said) == 1
    assert text(place.parent / "work" / "new") == "new"


def test_what_was_killed_while_the_older_folder_was_removed_is_whole(place):
    kill(place, "shutil", "rmtree", 0)
    assert text(place) == "new"
    (place / "data").unlink()
    place.rmdir()
    restore(place, print)
    assert not place.exists()


def test_an_older_folder_that_stayed_aside_does_not_come_back_later(place):
    kill(place, "os", "replace", 2)
    assert text(place) == "new"
    publish(folder(place.parent / "work" / "newer", "newer"), place)
    assert text(place) == "newer"
    assert sorted(os.listdir(place.parent)) == ["out", "work"]


def test_a_folder_that_cannot_be_published_leaves_the_older_one(place, monkeypatch):
    rename = os.replace

    def refuse(old, new):
        if old == place.parent / "work" / "new":
            raise OSError("no")
        rename(old, new)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="no"):
        publish(place.parent / "work" / "new", place)
    assert text(place) == "old"
    assert sorted(os.listdir(place.parent)) == ["out", "work"]


def test_a_file_has_the_permissions_of_the_one_that_it_replaces(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    old.chmod(0o640)
    new.write_text("new")
    new.chmod(0o600)
    publish(new, old)
    assert (old.read_text(), old.stat().st_mode & 0o777) == ("new", 0o640)


def test_a_file_that_is_not_complete_gets_no_name(tmp_path):
    def fail():
        with placed(tmp_path / "out.json") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert os.listdir(tmp_path) == []
