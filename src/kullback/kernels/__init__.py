"""Faster bodies of a few formulas. Those in ``divergences/`` are the truth, and answer wherever these may not run.

- ``formula``: plain torch operations; under every transform, on every device.
- ``torch``: one autograd function over torch arithmetic, diagonals tile by tile (``tiled.py``), full Gaussians by
  its linear algebra (``factored.py``). No compiler needed.
- ``native``: the same function over a C library (``native/``, through ``library.py``), where one could be built.

``choice.py`` says when which runs, and is what the public functions ask: read it next. ``guard.py`` says where plain
memory may be read at all, ``layout.py`` how it lies; ``diagonal.py`` and ``full.py`` find the operands of a pair,
``function.py`` holds the autograd functions. To delete a body, remove its file and its row of ``choice.BODIES``.
"""

from kullback.kernels.choice import Selection, selected

__all__ = ["Selection", "selected"]
