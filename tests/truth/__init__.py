"""The truth that tests and benchmarks compare with; the oracles share no code with the library.

``exact.py``: textbook formulas in ball arithmetic; ``oracle.py``: the KL divergence of numbers, to fifty digits;
``quantities.py``: what is compared with which truth, and how far off it may be; ``pairs.py``, ``regimes.py``: the pairs
of Gaussians; ``kinds.py``: the ways of giving a scale; ``records.py``: the divergences of the registry;
``mixtures.py``: mixtures and quadrature; ``scalars.py``: one-dimensional Gaussians; ``strategies.py``: what
hypothesis draws; ``twins.py``: a kernel beside the formula that it stands for; ``processes.py``: child processes;
``versions.py``: what only some versions of torch promise.
"""
