"""Reading and writing of files.

``formats/`` reads the columns of a file, with one module for each format; ``columns.py`` derives the meaning of columns
from their names, and ``numbers.py`` checks their values. ``posteriors.py`` (with ``covariances.py``) and ``samples.py``
build Gaussians and samples from columns, ``arrays.py`` finds columns in several ``.npy`` files, ``reading.py`` says
which models are read, ``model.py`` holds and joins what a model has, ``output.py`` writes results whole,
``row_outputs.py`` and ``row_formats.py`` say where and how columns of rows are written, and ``text.py`` makes foreign
text safe to print. May import ``gaussians/`` and the packages before it. ``formats/``,
``columns.py``, ``output.py``, ``row_outputs.py``, ``row_formats.py`` and ``text.py`` import no torch, so that the command line can read them for its help.
"""
