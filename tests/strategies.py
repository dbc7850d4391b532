"""What hypothesis draws: Gaussians of every parameterization, dtype and shape, friendly or not."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kullback import Gaussian

CONSTRUCTORS = {"std": Gaussian.from_std, "variance": Gaussian.from_variance, "logvar": Gaussian.from_logvar}


def _elements(given: str, width: int) -> st.SearchStrategy[float]:
    if given == "logvar":
        limit = 80.0 if width == 32 else 700.0
        return st.floats(-limit, limit, width=width)
    return st.floats(2.0**-60, 2.0**60, width=width)


@st.composite
def gaussian_pairs(draw, same_parameterization=True):
    """Two Gaussians of NumPy arrays with one event shape and batches that broadcast."""
    width = draw(st.sampled_from([32, 64]))
    dtype = np.dtype(f"float{width}")
    d = draw(st.integers(1, 4))
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3)).input_shapes
    given = [draw(st.sampled_from(list(CONSTRUCTORS)))] * 2
    if not same_parameterization:
        given[1] = draw(st.sampled_from(list(CONSTRUCTORS)))
    pair = []
    for shape, g in zip(shapes, given, strict=True):
        mean = draw(hnp.arrays(dtype, (*shape, d), elements=st.floats(-(2.0**40), 2.0**40, width=width)))
        scale = draw(hnp.arrays(dtype, (*shape, d), elements=_elements(g, width)))
        pair.append(CONSTRUCTORS[g](mean, scale))
    return tuple(pair)
