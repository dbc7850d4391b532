"""How a comparison is shown: ``figures.py`` draws, ``html.py`` and ``terminal.py`` lay out. Renderers take a Comparison."""
