"""Estimates of the Kullback–Leibler divergence and the entropy where p, q or both are known by samples alone.

- ``from_samples.py`` is the entry; ``reading.py`` reads what the caller passed, ``inference_data.py`` draws by the
  names of variables; ``recognition.py`` refuses what is no samples.
- ``chains.py`` thins dependent rows by their effective number, from ``effective_size.py``; ``checks.py`` checks and
  warns; ``rounding.py`` spreads rounded values; ``supports.py`` looks where q may be 0; ``whitening.py`` changes to
  coordinates in which the covariance is the identity.
- ``methods.py`` lists the methods by name: ``calibrated.py``, the default, and its two parts in ``plain.py``.
- ``plugin.py``: unbiased estimates for Gaussians; ``neighbours.py``: nearest-neighbour estimates, from
  ``distances.py``; ``gaussianize.py``: maps that make marginals normal; ``result.py``: the result of a method.
"""
