"""Faster ways of computing a few formulas of ``divergences/``, which define the result.

- ``reference``: plain torch operations; under every transform, on every device.
- ``torch``: one autograd function over operations of torch in closed form: float32 diagonals
  (``elementwise_kernel.py``), full Gaussians by its linear algebra (``factored_kernel.py``), on any device; on CPUs
  also low-rank ones, by r × r matrices (``low_rank_kernel.py``).
- ``triton``: the same function over Triton kernels (``gpu/``, through ``triton_kernel.py``), on CUDA devices.
- ``native``: the same function over a C library (``native/``, through ``native_kernel.py``), on CPUs, where one could
  be built; also what adds up over rows of diagonals (``row_sums.py``), and the lowest products of vectors
  (``lowest.py``).

``choice.py`` says which runs and why, and is what the public functions ask: read it next. ``protocol.py`` is what a
kernel must answer; ``inputs.py`` finds the tensors of a pair, ``conversion.py`` brings two diagonals that were given
differently to one parameterization, ``layout.py`` says how tensors lie in memory, ``autograd.py`` holds the autograd
functions, and ``second_derivatives.py`` what they need to be differentiated twice. To delete a kernel, remove its file,
its import and its row of ``choice.BACKENDS``. May import ``pairs/`` and what comes before. Next: ``divergences/``.
"""

from kullback.kernels.choice import Selection, selected, use

__all__ = ["Selection", "selected", "use"]
