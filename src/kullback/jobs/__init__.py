"""Long computations over stored rows: a plan of tasks, an engine that runs them, and results in parts that are
published when all are there.
"""
