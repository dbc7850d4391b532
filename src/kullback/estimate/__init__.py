"""Quantities without a closed form: proved bounds, and estimates with their errors.

- ``bounds.py``: proved bounds for mixtures, made of the sums of ``component_bounds.py`` over pairs of components, whose
  arrays are in ``mixture_arrays.py``.
- ``kl.py``, ``entropy.py``, ``jensen_shannon.py``, ``mutual_information.py``: estimates as averages, a file for each
  quantity. ``averaging.py`` averages to the accuracy that the caller asked for, by ``monte_carlo.py``, over the points
  of ``samplers.py``; ``result.py`` is the result.
- ``densities.py`` converts what has a density: a file ``*_densities.py`` for each library, ``independent_mixtures.py``
  for products of mixtures, which declare what ``adapted.py`` says; ``draws.py`` for objects that are drawn from and
  asked as they say, ``images.py`` for images under transforms. ``coordinates.py`` chooses the coordinates in which two
  densities are compared.
- ``samples/``: estimates where p, q or both are known by samples alone.

May import ``all_pairs/`` and what comes before. Next: ``approximations/``.
"""
