"""Long computations over stored rows: a plan of tasks, an engine that runs them, and results in parts that are
published when all are there.

``plan.py`` says what a computation does, ``parts.py`` keeps and publishes its parts, and ``divergences.py`` computes a
divergence for each row, ``all_pairs.py`` the nearest of another model and the matrix of all pairs.
"""
