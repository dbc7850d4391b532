"""Renderers of a comparison. Each takes a ``Comparison`` and reads only its public methods and its summary.

``plain.py`` gives dictionaries, JSON and text, ``figures.py`` matplotlib figures, ``html.py`` a page for which the
templates lie beside it, and ``terminal.py`` tables.
"""
