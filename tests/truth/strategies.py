"""What hypothesis draws: Gaussians of every parameterization, dtype and shape, friendly or not."""

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from truth.kinds import DIAGONAL, KINDS, MAKE, build


def _elements(given: str, width: int) -> st.SearchStrategy[float]:
    if given == "logvar":
        limit = 80.0 if width == 32 else 700.0
        return st.floats(-limit, limit, width=width)
    return st.floats(2.0**-60, 2.0**60, width=width)


@st.composite
def gaussian_pairs(draw, same_parameterization=True, batched=False, kinds=DIAGONAL):
    """Two Gaussians of NumPy arrays with one event shape, and batches that broadcast or, ``batched``, are one."""
    width = draw(st.sampled_from([32, 64]))
    dtype = np.dtype(f"float{width}")
    d = draw(st.integers(1, 4))
    if batched:
        shapes = [draw(hnp.array_shapes(min_dims=1, max_dims=2, max_side=3))] * 2
    else:
        shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3)).input_shapes
    given = [draw(st.sampled_from(kinds))] * 2
    if not same_parameterization:
        given[1] = draw(st.sampled_from(kinds))
    pair = []
    for shape, g in zip(shapes, given, strict=True):
        mean = draw(hnp.arrays(dtype, (*shape, d), elements=st.floats(-(2.0**40), 2.0**40, width=width)))
        scale = draw(hnp.arrays(dtype, (*shape, d), elements=_elements(g, width)))
        pair.append(MAKE[g](mean, scale))
    return tuple(pair)


@st.composite
def full_pairs(draw, kinds=KINDS, distances=(1e-6, 1e-2, 1.0, 3.0)):
    """Two Gaussians in general position, far or near."""
    seed, scale = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from(distances))
    g = torch.Generator().manual_seed(seed)
    mean, raw = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((3,), (3, 3)))
    moved = [x + scale * torch.randn(x.shape, generator=g, dtype=torch.float64) for x in (mean, raw)]
    kind = draw(st.sampled_from(kinds))
    other = kind if scale < 1 else draw(st.sampled_from(kinds))
    return build(kind, mean, raw), build(other, *moved)
