"""One file for each command, or for commands that are alike, in ``COMMANDS``.

Heavy imports happen inside commands, so that ``--help`` answers at once.
"""
