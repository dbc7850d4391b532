"""One file for each divergence: derivation, formula and reference. These plain formulas are the library.

``registry.py`` is the table of the divergences and of what is true of each (``record.py``); ``api.py`` makes a public
function of a formula; ``supports.py`` takes those of singular Gaussians along their support; ``results.py`` holds the
types of results with parts. Beside the divergences stand ``row_sums.py``, what those of many rows add up to,
``projections.py``, the nearest Gaussian of a simpler kind, and ``torch_registry.py``, which teaches torch the pairs it
lacks. May import ``kernels/`` and what comes before. Next: ``all_pairs/``, ``losses/``, ``estimate/``.
"""
