"""Comparison of two models by their posteriors of the same inputs.

``encode.py`` runs an encoder over all inputs, ``objects.py`` reads posteriors in memory, ``rows.py`` checks and joins
those of two models, ``summary.py`` accumulates their divergences in mergeable batches, ``statistics.py`` reduces these
to the statistics that are reported, ``compare.py`` holds the result as data, and ``findings.py`` puts it into
sentences, with numbers formatted by ``format.py``. ``report/`` renders a comparison as text, JSON, HTML, figures and
terminal tables. May import ``io/`` and the packages before it.
"""
