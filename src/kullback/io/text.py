"""Text from files and from callers, made safe to print."""


def printable(text: object) -> str:
    """``text`` on one line, with every character that could control a terminal replaced by its escape sequence."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
