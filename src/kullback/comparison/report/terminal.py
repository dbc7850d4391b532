"""A comparison as tables in a terminal."""

import math

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kullback.comparison.compare import Comparison
from kullback.comparison.findings import number, plus_minus
from kullback.io.text import printable

_MOST_DIMENSIONS = 16
_MOST_INPUTS = 5


def show(comparison: Comparison, console: Console) -> None:
    """Print findings and tables. The tables call the models A and B, so that they fit any terminal."""
    console.print(Panel(Text(comparison.warning), border_style="yellow"))
    for finding in comparison.findings():
        console.print(Text(f"• {finding}"))
    a, b = comparison.names
    for table in (_statistics(comparison), _dimensions(comparison), _largest(comparison)):
        console.print()
        console.print(table)
    console.print(Text(f"A is {a}, B is {b}; all in nats.", style="italic"))


_COLUMNS = {"ab": "KL(A‖B)", "ba": "KL(B‖A)", "rate_a": "KL(A‖prior)", "rate_b": "KL(B‖prior)"}


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table


def _statistics(comparison: Comparison) -> Table:
    table = _table(f"Over {comparison.summary.count:,} inputs", "", *_COLUMNS.values())
    statistics = [comparison.statistics(which) for which in _COLUMNS]
    table.add_row("mean ± standard error", *(plus_minus(s) for s in statistics))
    for name, key in (("median", "median"), ("5 %", "p05"), ("95 %", "p95"), ("largest", "max")):
        table.add_row(name, *(number(s[key]) for s in statistics))
    table.add_row("mean from means", *(number(s["from_means"]) for s in statistics))
    table.add_row("mean from variances", *(number(s["from_variances"]) for s in statistics))
    return table


def _dimensions(comparison: Comparison) -> Table:
    d = math.prod(comparison.event_shape)
    title = "Mean in each latent dimension" + (f" (the {_MOST_DIMENSIONS} largest of {d:,})" * (d > _MOST_DIMENSIONS))
    table = _table(f"{title}; faint: collapsed", "dimension", *_COLUMNS.values(), "active in")
    columns = {which: comparison.per_dimension(which) for which in _COLUMNS}
    active = {name: comparison.active(model) for model, name in zip("ab", "AB", strict=True)}
    for i in sorted(comparison.most_different(_MOST_DIMENSIONS)):
        cells = []
        for which, values in columns.items():
            collapsed = which.startswith("rate") and comparison.collapsed(which[-1])[i]
            cells.append(Text(number(float(values[i])), style="dim" if collapsed else ""))
        table.add_row(
            comparison.dimension_name(i), *cells, ", ".join(n for n, mask in active.items() if mask[i]) or "–"
        )
    return table


def _largest(comparison: Comparison) -> Table:
    table = _table("The inputs that differ most", "", _COLUMNS["ab"], "input", _COLUMNS["ba"], "input")
    ab, ba = (comparison.summary.divergences[which].largest for which in ("ab", "ba"))
    for i in range(min(_MOST_INPUTS, len(ab.ids))):
        table.add_row(
            str(i + 1),
            number(ab.values[i]),
            Text(printable(ab.ids[i])),
            number(ba.values[i]),
            Text(printable(ba.ids[i])),
        )
    return table
