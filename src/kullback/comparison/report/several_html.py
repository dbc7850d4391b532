"""The comparison of several models as an HTML page, with a part for each pair."""

import os
from typing import TYPE_CHECKING, Any

from torch import Tensor

from kullback.comparison.report import html
from kullback.comparison.report.several_figures import draw
from kullback.io.output import check_writable, write_text

if TYPE_CHECKING:
    from kullback.comparison.compare_all import Comparisons

_CAPTIONS = {
    "dendrogram": "Models that are alike are joined early: hierarchical clustering with average linkage, by the mean "
    "divergence after the best alignment of each pair. What is joined left of the dashed line is a group.",
    "embedding": "An impression of the models in the plane, by classical multidimensional scaling: squared distances "
    "resemble the mean divergences after alignment, the better the more of the scatter is shown. The matrix has the "
    "numbers.",
}

# What the page draws of each pair; the report of a pair draws everything.
_FIGURES = ("decomposition", "matching", "left")

_MATRICES = {
    "distances": "After alignment, both directions together",
    "aligned": "After alignment, by direction",
    "unaligned": "As they stand, by direction",
}


def write(comparisons: "Comparisons", path: str | os.PathLike[str], command: str | None) -> None:
    """Write the page to a file, completely or not at all."""
    check_writable(path, (".html", ".htm"))
    views = {
        places: html.view(comparison, figures=_FIGURES, prefix=f"{_anchor(places)}-")
        for places, comparison in comparisons.pairs.items()
    }
    variables = _variables(comparisons) | {
        "pictures": [html.picture(figure, name, _CAPTIONS[name]) for name, figure in draw(comparisons).items()],
        "pairs": [view | {"anchor": _anchor(places)} for places, view in views.items()],
    }
    first = next(iter(comparisons.pairs.values()))
    write_text(path, html.render("several.html.j2", ", ".join(comparisons.names), first, command, **variables))


def fragment(comparisons: "Comparisons") -> str:
    """The findings and matrices, for a notebook."""
    return html.template("several_fragment.html.j2").render(linked=False, **_variables(comparisons))


def _variables(comparisons: "Comparisons") -> dict[str, Any]:
    return {
        "names": comparisons.names,
        "findings": comparisons.findings(),
        "matrices": {title: (key, _cells(comparisons, getattr(comparisons, key))) for key, title in _MATRICES.items()},
    }


def _cells(comparisons: "Comparisons", matrix: Tensor) -> list[list[dict[str, Any] | None]]:
    """The cells of a matrix: the value, where its pair stands on the page, and how near the two are, in per cent."""
    finite = matrix[matrix.isfinite()]
    largest = float(finite.max()) or 1.0
    cells: list[list[dict[str, Any] | None]] = [[None] * len(comparisons.names) for _ in comparisons.names]
    for places in comparisons.pairs:
        for i, j in (places, places[::-1]):
            value = float(matrix[i, j])
            near = round(45 * (1.0 - min(value / largest, 1.0))) if value == value else 0
            cells[i][j] = {"value": value, "anchor": _anchor(places), "near": near}
    return cells


def _anchor(places: tuple[int, int]) -> str:
    return f"pair-{places[0] + 1}-{places[1] + 1}"
