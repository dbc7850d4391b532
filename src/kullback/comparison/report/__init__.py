"""Renderers of a comparison. Each takes a ``Comparison`` and reads only its public methods and its summary.

``plain.py`` gives dictionaries, JSON and text, ``terminal.py`` tables, ``figures.py`` matplotlib figures (those over
inputs are in ``input_figures.py``) in the style of ``style.py``, and ``html.py`` a page: its templates, style sheet and
script lie beside it, ``svg.py`` and ``images.py`` give it its pictures. ``several_*.py`` do the same for several
models.
"""
