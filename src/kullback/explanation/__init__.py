"""Explanation of a divergence: how it is computed, and which common mistakes give another value.

``explain.py`` contains the public function; ``mistakes.py`` the tables of mistakes in the closed form, ``readings.py``
those in its parameters, ``terms.py`` what they change; ``closed_form.py`` combines them, ``search.py`` finds the
combinations that give a value, and ``other_formulas.py`` has what is computed in its place. May import ``divergences/``
and the packages before it.
"""
