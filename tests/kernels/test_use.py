"""Choosing a backend, kinds that no kernel knows, and how much Python a call costs."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from kullback import Gaussian, kernels, kl_divergence
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.kernels import choice, native_kernel
from kullback.kernels.protocol import Inputs

P = Gaussian.from_std(torch.zeros(4, 3), torch.ones(4, 3))


def test_a_backend_is_used_within_the_block_and_no_longer():
    before = kernels.selected(P, P)
    with kernels.use("reference"):
        assert kernels.selected(P, P) == ("reference", "asked for by name")
        with kernels.use("torch"):
            assert kernels.selected(P, P).backend == "torch"
        assert kernels.selected(P, P).backend == "reference"
    assert kernels.selected(P, P) == before


def test_an_error_inside_the_block_ends_it():
    before = kernels.selected(P, P)
    with pytest.raises(RuntimeError, match="inside"), kernels.use("reference"):
        raise RuntimeError("inside")
    assert kernels.selected(P, P) == before


def test_other_threads_keep_their_own_choice():
    before, seen = choice.current(), []
    with kernels.use("torch"), kernels.use("reference"):
        thread = threading.Thread(target=lambda: seen.append(choice.current()))
        thread.start()
        thread.join()
        assert [backend.name for backend in choice.current().backends] == ["reference"]
    assert seen == [before]


def test_what_is_not_there_says_so(monkeypatch):
    with (
        pytest.raises(ValueError, match="the backends are one of native, triton, torch, reference, got 'fastest'"),
        kernels.use("fastest"),
    ):
        pass
    monkeypatch.setattr(native_kernel, "_LIBRARY", None)
    with pytest.raises(ValueError, match="the backend 'native' is not there"), kernels.use("native"):
        pass


def test_a_diagonal_kind_that_no_kernel_knows_is_left_to_the_formula():
    """A new parameterization works before any kernel has heard of it."""
    unknown = Gaussian(P.mean, Diagonal(torch.ones(4, 3), "inverse"))
    for backend in choice.BACKENDS:
        for kernel in backend.kernels:
            for work in ("kl", "kl_terms"):
                assert kernel.unsupported_reason(work, Inputs(unknown.tensors() * 2, "inverse", 1)) is not None
    assert kernels.selected(unknown, unknown).backend == "reference"


def frames(f) -> int:
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        f()
    finally:
        sys.setprofile(None)
    return count


def test_the_formula_takes_at_most_a_hundred_calls_of_python():
    g = torch.Generator().manual_seed(0)
    mean, raw = torch.randn(4, 5, generator=g), torch.randn(4, 5, 5, generator=g)
    covariance = raw @ raw.mT + torch.eye(5)
    p = Gaussian.from_covariance(mean, covariance)
    q = Gaussian.from_scale_tril(mean, torch.linalg.cholesky(covariance + torch.eye(5)))
    kl_divergence(p, q)
    assert frames(lambda: kl_divergence(p, q)) <= 100


@pytest.mark.parametrize("most", native_kernel.INSTRUCTION_SETS)
def test_an_environment_variable_says_which_instructions_may_run(most):
    if native_kernel.unavailable_reason():
        pytest.skip("no C library")
    program = "from kullback.kernels import native_kernel; print(native_kernel.instructions())"
    environment = {**os.environ, "KULLBACK_INSTRUCTIONS": most}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    ).stdout.strip()
    sets = native_kernel.INSTRUCTION_SETS
    assert sets.index(run) == min(sets.index(most), sets.index(native_kernel.instructions()))


def test_an_instruction_set_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="one of baseline, avx2, avx512, got 'avx1024'"):
        native_kernel.allow("avx1024")
