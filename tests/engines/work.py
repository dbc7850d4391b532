"""Tasks that the processes of a cluster can import."""

import os
import time

from kullback.errors import PosteriorFileError


def slow(i):
    time.sleep(0.02)
    return i


def process_of(i):
    time.sleep(0.01)
    return os.getpid()


def bad_at_five(i):
    if i == 5:
        raise PosteriorFileError("a.npz: row 5")
    time.sleep(0.01)
    return i


def bad_sooner_the_later(i):
    time.sleep(0.1 / (1 + i))
    raise PosteriorFileError(f"a.npz: row {i}")


def deadly(i):
    os.kill(os.getpid(), 9)


def as_list(i):
    return [i]


def joined(a, b):
    return a + b


class Large:
    """Twenty megabytes to travel with a function."""

    def __init__(self):
        self.bytes = bytes(20_000_000)

    def __call__(self, i):
        return i + len(self.bytes)


class At:
    """A place that a function holds."""

    def __init__(self, path):
        self.path = path

    def __call__(self, i):
        return str(self.path)
