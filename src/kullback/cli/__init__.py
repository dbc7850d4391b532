"""The command line: ``app.py`` is the group of commands and its entry point, ``commands/`` has a file for each command.

``inputs.py`` holds the arguments that commands share, ``errors.py`` how they end, ``progress.py`` the progress bar. May import
everything; nothing imports it.
"""
