"""The version of kullback."""

__version__ = "0.1.0"
