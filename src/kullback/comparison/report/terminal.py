"""A result as tables in a terminal."""

import math
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kullback.comparison.findings import MAPS
from kullback.comparison.format import number, plus_minus
from kullback.comparison.pair import MODELS, Pair
from kullback.comparison.statistics import of_sample
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.comparison.compare_all import Comparisons
    from kullback.comparison.result import Result

_MAX_DIMENSIONS = 16


def show(comparison: "Result", console: Console) -> None:
    """Print the findings and tables. The tables call the models A and B, so that they fit into a narrow terminal."""
    for finding in comparison.findings():
        console.print(Text(f"• {finding}"))
    tables = (_statistics(comparison), _dimensions(comparison), _largest(comparison))
    for table in (*_coordinates(comparison), *tables):
        console.print()
        console.print(table)
    called = ", ".join(f"{model.upper()} is {name}" for model, name in zip(MODELS, comparison.names, strict=False))
    console.print(Text(f"{called}; all in nats.", style="italic"))


def show_several(comparisons: "Comparisons", console: Console) -> None:
    """Print the findings and the matrices of several models."""
    for finding in comparisons.findings():
        console.print(Text(f"• {finding}"))
    matrices = {"As they stand": comparisons.unaligned, "After the best alignment of each pair": comparisons.aligned}
    for title, matrix in matrices.items():
        table = _table(f"{title}: KL(row‖column), nats", "", *comparisons.names)
        for i, (name, row) in enumerate(zip(comparisons.names, matrix.tolist(), strict=True)):
            table.add_row(Text(name), *("–" if i == j else number(x) for j, x in enumerate(row)))
        console.print()
        console.print(table)


_COLUMNS = {pair: pair.label("A", "B") for pair in Pair}


def _columns(comparison: "Result") -> dict[Pair, str]:
    return {pair: _COLUMNS[pair] for pair in comparison.summary.divergences}


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if i else "left")
    return table


def _coordinates(comparison: "Result") -> list[Table]:
    found = comparison.coordinates
    if found is None:
        return []
    rows = f"{found.best.aligned.rows:,} inputs that no map was fitted to"
    table = _table(f"Over {rows}", "", _COLUMNS[Pair.AB], _COLUMNS[Pair.BA], "A‖B by chance")
    there, back = found.best.unaligned, found.best.unaligned_reverse
    table.add_row("as they stand", plus_minus(there.to_dict()), plus_minus(back.to_dict()), "–")
    for kind, alignment in found.alignments.items():
        means = (alignment.aligned, alignment.aligned_reverse)
        table.add_row(
            f"after {MAPS[kind]}", *(plus_minus(mean.to_dict()) for mean in means), number(alignment.chance.mean)
        )
    return [table]


def _statistics(comparison: "Result") -> Table:
    table = _table(f"Over {comparison.summary.count:,} inputs", "", *_columns(comparison).values())
    if comparison.summary.sampled:
        table.caption, table.caption_justify = of_sample(comparison.summary.sampled), "left"
    statistics = [comparison.statistics(pair) for pair in _columns(comparison)]
    table.add_row("mean ± standard error", *(plus_minus(s) for s in statistics))
    for name, key in (("median", "median"), ("5 %", "p05"), ("95 %", "p95"), ("largest", "max")):
        table.add_row(name, *(number(s[key]) for s in statistics))
    table.add_row("mean from means", *(number(s["from_means"]) for s in statistics))
    table.add_row("mean from variances", *(number(s["from_variances"]) for s in statistics))
    if any(s["from_correlations"] for s in statistics):
        table.add_row("mean from correlations", *(number(s["from_correlations"]) for s in statistics))
    return table


def _dimensions(comparison: "Result") -> Table:
    d = math.prod(comparison.event_shape)
    title = "Mean in each latent dimension" + (f" (the {_MAX_DIMENSIONS} largest of {d:,})" * (d > _MAX_DIMENSIONS))
    table = _table(f"{title}; faint: collapsed", "dimension", *_columns(comparison).values(), "active in")
    columns = {pair: comparison.per_dimension(pair) for pair in _columns(comparison)}
    active = {model.upper(): comparison.active(model) for model in comparison.summary.models}
    collapsed = {Pair.rate(model): comparison.collapsed(model) for model in comparison.summary.models}
    for i in sorted(comparison.most_different(_MAX_DIMENSIONS)):
        cells = []
        for pair, values in columns.items():
            faint = pair in collapsed and bool(collapsed[pair][i])
            cells.append(Text(number(float(values[i])), style="dim" if faint else ""))
        table.add_row(
            comparison.dimension_name(i), *cells, ", ".join(n for n, mask in active.items() if mask[i]) or "–"
        )
    return table


def _largest(comparison: "Result") -> Table:
    headings = [heading for pair in comparison.shown for heading in (_COLUMNS[pair], "input")]
    table = _table("The inputs that differ most", "", *headings)
    columns = [comparison.summary.divergences[pair].largest for pair in comparison.shown]
    for i in range(len(columns[0].ids)):
        cells = [cell for of in columns for cell in (number(of.values[i]), Text(printable(of.ids[i])))]
        table.add_row(str(i + 1), *cells)
    return table
