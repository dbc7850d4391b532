"""What notebooks show of an object."""

import html
from collections.abc import Mapping


def table(title: str, rows: Mapping[str, object]) -> str:
    """A small HTML table of a title and of names with their values, every one escaped."""
    cells = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>" for name, value in rows.items())
    return f"<table><caption>{html.escape(title)}</caption><tbody>{''.join(cells)}</tbody></table>"
