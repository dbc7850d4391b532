"""Files: ``formats/`` reads columns, a file for each kind; ``columns.py`` knows what they mean by their names.

``posteriors.py`` and ``samples.py`` make Gaussians and samples of columns; ``output.py`` writes results; ``text.py`` makes
text from outside fit for a line of output. May import ``gaussians/`` and what comes before.
"""
