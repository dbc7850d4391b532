"""What only some versions of torch promise."""

import pytest
import torch

_VERSION = tuple(int(part) for part in torch.__version__.split(".")[:2])

needs_torch_2_8 = pytest.mark.skipif(
    _VERSION < (2, 8), reason="the default compiler and export take types of ours from torch 2.8 on"
)
