"""One file for each kind of file: its suffixes and its columns, each read only when it is asked for.

A module here declares ``SUFFIXES``; ``HOLDS``, what a file of this kind may hold, ``"posteriors"`` (and samples) or
``"samples"``; ``IS_TABLE``, whether all columns belong together; and ``read(path)``. ``registry.py`` finds it.
"""
