"""What stands behind a number (``explain.py``), and which common mistake gives another one (``mistakes.py``).

May import ``divergences/`` and what comes before.
"""
