"""Two models' posteriors of the same inputs, compared.

``summary.py``: what is known after some rows, mergeable; ``compare.py``: the comparison as data; ``findings.py``: the same in
sentences; ``report/``: as text, JSON, HTML page, figures and terminal tables. May import ``io/``, ``divergences/`` and what
comes before.
"""
