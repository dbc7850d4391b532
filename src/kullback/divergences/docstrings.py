"""Docstrings of a family of functions: what all of them say is written once, and completes what each one says."""

import inspect
from collections.abc import Mapping


def completed(doc: str | None, sections: Mapping[str, str]) -> str:
    """A docstring with every section that it lacks, in front of its references; errors are added to its own."""
    body, mark, end = inspect.cleandoc(doc or "").partition("\nReference:")
    if not mark:
        body, mark, end = body.partition("\nExample:")
    for name, text in sections.items():
        section = inspect.cleandoc(text).replace("\n", "\n    ")
        if f"\n{name}:\n" not in body:
            body = f"{body.rstrip()}\n\n{name}:\n    {section}\n"
        elif name == "Raises":
            before, _, own = body.partition("\nRaises:\n")
            lines = [line for line in section.split("\n    ") if f"    {line.partition(':')[0]}:" not in own]
            body = f"{before}\nRaises:\n" + "".join(f"    {line}\n" for line in lines) + own
    return f"{body}{mark}{end}" if mark else body
