"""Text that came from outside, made fit for a line of output."""


def printable(text: object) -> str:
    """``text`` on one line, with nothing in it that could steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
