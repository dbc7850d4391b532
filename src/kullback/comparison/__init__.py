"""Comparison of two models by their posteriors of the same inputs, and description of one.

- ``encode.py``: an encoder, run over all inputs; ``objects.py``: posteriors in memory; ``rows.py``: those of two
  models, checked and joined.
- ``compare.py``: the public function; ``result.py``: its result as data, ``comparison.py`` of two models and
  ``one_model.py`` of one, which consists of three parts: ``summary.py``, each model by itself and the divergences as
  they stand, accumulated in mergeable batches by ``passes.py`` and written as text by ``summary_json.py``;
  ``coordinates.py``, what is left after an alignment; ``aggregate.py``, the distributions of all codes.
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
