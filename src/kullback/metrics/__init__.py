"""Metrics of training, on top of the summaries of ``comparison/``."""
