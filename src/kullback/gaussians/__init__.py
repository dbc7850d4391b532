"""The nouns: batches of Gaussians, each given the way people have it, and mixtures of them.

- ``gaussian.py``: :class:`~kullback.Gaussian` and the standard normal, and ``indexing.py`` some of a batch;
  ``inputs.py`` converts and checks what its constructors are given (``validation.py``, ``shapes.py``), ``moments.py``
  sums up samples, ``singular.py`` looks for the rank of what may be singular, ``rotations.py`` makes factors of
  rotations.
- ``scales/``: a scale as it was given, a file for each family of parameterizations.
- ``mixture.py``: :class:`~kullback.Mixture`; ``mixture_density.py``: its log-density at many points.

May import ``numerics/``. Objects of other libraries become Gaussians in ``interop/``, which comes next.
"""
