"""The command line.

``app.py`` contains the group of commands and its entry point, ``commands/`` one module for each command, ``inputs.py``
the arguments that commands share (``patterns.py``: those that a shell has expanded), ``running.py`` the options of long
computations, ``gate.py`` the conditions of ``--fail-if``, ``errors.py`` the errors with which commands end,
``progress.py`` the progress bar, and ``estimate_report.py`` the output of ``kullback estimate``. May import every
package; no package imports it.
"""
