"""Explanation of a divergence: how it is computed, and which common mistakes give another value.

``explain.py`` contains the public function, ``mistakes.py`` the table of mistakes. May import ``divergences/`` and the
packages before it.
"""
