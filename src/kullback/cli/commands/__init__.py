"""The commands. Each module contains one command, or several that are alike, and lists them in ``COMMANDS``.

``app.py`` finds the modules, and nothing else lists them. They import torch and other large libraries inside commands,
so that ``--help`` answers at once.
"""
