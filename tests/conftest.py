import os

import pytest
import torch

# Where there is no GPU, Triton interprets its kernels: asked before anything imports them.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

from hypothesis import settings
from truth.twins import PRESENT

from kullback import kernels
from kullback.kernels import native_kernel

# The first call of a process loads and allocates; how long an example takes says nothing about the library.
settings.register_profile("kullback", deadline=None, max_examples=200)
settings.load_profile("kullback")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(params=PRESENT)
def body(request):
    """One of the bodies that are here, forced."""
    with kernels.use(request.param):
        yield request.param


@pytest.fixture(params=native_kernel.INSTRUCTION_SETS[:-1])
def older_machine(request):
    """The C library as a machine with fewer instructions would run it."""
    if native_kernel.unavailable_reason():
        pytest.skip(native_kernel.unavailable_reason())
    native_kernel.allow(request.param)
    with kernels.use("native"):
        yield
    native_kernel.allow(native_kernel.INSTRUCTION_SETS[-1])


@pytest.fixture
def by_formula():
    def call(f, *args):
        with kernels.use("reference"):
            return f(*args)

    return call
