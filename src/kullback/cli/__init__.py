"""The command line.

``app.py`` contains the group of commands and its entry point, ``commands/`` one module for each command, ``inputs.py``
the arguments that commands share, ``running.py`` the options of long computations, ``errors.py`` the errors with which
they end, ``progress.py`` the progress bar, and ``estimate_report.py`` the output of ``kullback estimate``. May import
every package; no package imports it.
"""
