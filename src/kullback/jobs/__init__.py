"""Long computations over stored rows: a plan of tasks, an engine that runs them, and results in parts that are
published when all are there.

``plan.py`` says what a computation does, and ``stamps.py`` what tells that its inputs were changed. ``unfinished.py``
keeps what was found until an output is whole: ``parts.py`` the parts of it, which are published together, and
``checkpoint.py`` how far passes over rows have come.
``row_parts.py`` has what computations of rows share, ``divergences.py`` the divergence of each row, ``nearest.py`` the
nearest rows of another model, and ``pairwise.py`` the matrix of all pairs; ``infinite.py`` counts infinite values.
"""
