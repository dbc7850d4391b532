"""Comparison of two models by their posteriors of the same inputs.

``rows.py`` checks and joins the posteriors, ``summary.py`` accumulates their divergences in mergeable batches,
``statistics.py`` reduces these to the statistics that are reported, ``compare.py`` holds the result as data, and
``findings.py`` puts it into sentences, with numbers formatted by ``format.py``. ``report/`` renders a comparison as
text, JSON, HTML, figures and terminal tables. May import ``io/`` and the packages before it.
"""
