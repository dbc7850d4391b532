"""Posteriors from files, and results into files. Nothing is ever unpickled, nothing is repaired."""
