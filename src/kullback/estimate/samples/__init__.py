"""The Kullback–Leibler divergence where of p, of q or of both there are only samples.

Read ``methods.py`` first, which names the ways to do it; ``calibrated.py`` is the default.
"""
