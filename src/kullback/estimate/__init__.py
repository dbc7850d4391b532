"""What has no closed form: proved bounds, and estimates with their errors.

- ``bounds.py``: proved bounds for mixtures, from the arrays of ``mixture_arrays.py``.
- ``kl.py``, ``entropy.py``, ``jensen_shannon.py``, ``mutual_information.py``: what is averaged, a file each; ``averaging.py``
  averages it to what was asked for, over the points of ``samplers.py``; ``densities.py`` says what has a density;
  ``result.py`` is the result.
- ``samples/``: estimates where a side is samples.

May import ``all_pairs/`` and what comes before. Next: ``approximations/``.
"""
