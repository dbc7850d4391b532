"""What kullback raises beyond Python's own exceptions. Every message says what, where, got and what to do."""


class ShapeError(ValueError):
    """Shapes that do not belong together: events that differ, batches that do not broadcast."""


class NotPositiveDefinite(ValueError):
    """A covariance, precision or factor that no Gaussian has; the message names the matrix and the pivot."""


class NoClosedForm(NotImplementedError):
    """No exact formula is known or implemented for this pair; the message names the calls that do work."""


class PosteriorFileError(ValueError):
    """A file that does not hold what it should; the message names file, column and row."""

    names_file = False
    """Whether the message begins with the name of the file, and no other has to be put before it."""
