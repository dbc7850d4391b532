"""The file formats that can be read, with one module for each.

A module declares ``SUFFIXES``; ``IS_TABLE``, whether several columns of numbers are the coordinates of one set of
samples; and ``read(path)``, which returns the columns, each of which gives any rows without the others.
``registry.py`` finds the modules, and nothing else lists them. A module imports the library that reads its format
inside functions.
"""
