"""Comparison of two models by their posteriors of the same inputs, and description of one.

- ``encode.py``: an encoder, run over all inputs; ``objects.py``: posteriors in memory; ``rows.py``: anything that has
  rows as a model, and two models joined; ``inputs.py``: all that a comparison is given.
- ``compare.py``: the public function; ``result.py``: its result as data, ``comparison.py`` of two models and
  ``one_model.py`` of one, which consists of three parts: ``summary.py``, each model by itself and the divergences as
  they stand (``pair.py`` names them, ``divergence_summary.py`` is one of them, ``reservoir.py`` some rows), accumulated
  in mergeable batches by ``passes.py`` and written as text by ``summary_json.py``; ``leftover.py``, likewise, what maps
  leave; ``coordinates.py``, what is left after an alignment; ``aggregate.py``, the distributions of all codes.
- ``compare_all.py``: several models, each with each.
- ``images.py``: the images of the inputs that are listed.
- ``statistics.py``, ``scalars.py``: the numbers that are reported, and their names; ``findings_of_model.py``,
  ``findings.py`` and ``findings_of_all.py``: sentences about one, two and several models, with numbers formatted by
  ``format.py``; ``report/``: text, JSON, HTML, figures and tables.
- ``progress.py``: what a caller hears meanwhile.

May import ``io/`` and the packages before it.
"""

from kullback.comparison.one_model import OneModel

__all__ = ["OneModel"]
