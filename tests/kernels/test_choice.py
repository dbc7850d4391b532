"""Which kernels are here, which of them answers, and why."""

import subprocess
import sys

import pytest
import torch
from truth.twins import PRESENT

from kullback import Gaussian, kernels
from kullback.kernels import choice, native_kernel, selected


def test_a_body_can_be_asked_for_and_what_is_not_there_says_so():
    assert choice.allowed("reference").backends[0].kernels == ()
    with pytest.raises(ValueError, match="the backends are one of"), kernels.use("fastest"):
        pass
    assert choice.allowed(None).backends == choice.BACKENDS


def test_a_selection_says_why(body):
    p = Gaussian.from_std(torch.zeros(3), torch.ones(3))
    assert selected(p, p) == (body, "asked for by name")
    normal = torch.distributions.Normal(torch.zeros(3), torch.ones(3))
    assert selected(normal, normal) == selected(p, p)
    for make in (Gaussian.from_variance, Gaussian.from_logvar):
        assert selected(p, make(torch.zeros(3), torch.ones(3))) == selected(p, p)
    assert "not a pair of diagonals" in selected(p, Gaussian.from_covariance(torch.zeros(3), torch.eye(3))).reason
    with kernels.use("reference"):
        assert selected(p, p) == ("reference", "asked for by name")
    with kernels.use(None):
        assert selected(p, p).backend == PRESENT[0]
        large = Gaussian.from_covariance(torch.zeros(600), torch.eye(600))
        reason = selected(large, large).reason
    assert ("at most 512 coordinates" if "native" in PRESENT else "no native") in reason


def test_modules_are_found_without_importing_them():
    code = "import kullback; print(kullback.kernels.selected.__name__, kullback.losses.kl_loss.__name__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "selected kl_loss\n"


def test_without_a_library_the_package_works_and_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(native_kernel, "FILE", tmp_path / "libkullback.so")
    assert native_kernel._load() is None
    monkeypatch.setattr(native_kernel, "_LIBRARY", None)
    assert native_kernel.unavailable_reason() == "no C library was built"
    p = Gaussian.from_std(torch.zeros(3), torch.ones(3))
    with kernels.use(None):
        name, reason = selected(p, p)
    assert name != "native"
    assert reason.startswith("no native: no C library was built")
    with pytest.raises(ValueError, match="no C library"):
        choice.allowed("native")
    (tmp_path / "libkullback.so").write_bytes(b"not a library")
    assert native_kernel._load() is None
    assert "another version" in native_kernel.unavailable_reason()
