import pytest
import torch
from hypothesis import settings

# The first call of a process loads and allocates; how long an example takes says nothing about the library.
settings.register_profile("kullback", deadline=None, max_examples=200)
settings.load_profile("kullback")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
