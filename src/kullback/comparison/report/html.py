"""A result as one offline HTML page: inline SVG, a script of its own that sorts tables, nothing fetched."""

import base64
import hashlib
import math
import os
import platform
from collections.abc import Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2
import torch
from markupsafe import Markup

from kullback._version import __version__
from kullback.comparison.coordinates import Match
from kullback.comparison.findings import MAPS
from kullback.comparison.format import number, plus_minus
from kullback.comparison.pair import Pair
from kullback.comparison.report.figures import draw
from kullback.comparison.report.images import addresses
from kullback.comparison.report.svg import svg
from kullback.comparison.statistics import of_sample
from kullback.io.output import check_writable, write_text
from kullback.io.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kullback.comparison.result import Result

_CAPTIONS = {
    "decomposition": "The mean divergence as the models stand, after each change of coordinates of the first model, "
    "and what the best kind of change leaves of inputs paired at random. Matching dimensions permutes them and changes "
    "signs; a rotation is any orthogonal matrix, reflections included. Each is fitted to the mean divergence of one "
    "half of the inputs; the means are those of the other half.",
    "matching": "The mean KL divergence of each dimension of the first model (columns) from each of the second (rows), "
    "with the better sign: in their order, and with each dimension beside its match, partners first. A partner shows "
    "on the diagonal, lighter than the rest of its row. The scale ends at 1 % of the largest value.",
    "left": "What the best change of coordinates leaves: in each dimension of the second model, and in correlations "
    "between dimensions. Means over inputs that no map was fitted to.",
    "dimensions": "As the models stand. Above: the mean divergence of each latent dimension from the prior; collapsed "
    "dimensions are grey stubs, drawn higher than they are. Below: the mean divergence between the two models in each "
    "dimension, whichever dimensions match.",
    "widths": "The widths of posteriors: the root mean square over inputs of their standard deviations, in each latent "
    "dimension. Where it is the width of the prior, the input has no influence.",
    "rates": "The mean divergence of each latent dimension from the prior; collapsed dimensions are grey stubs, drawn "
    "higher than they are.",
    "distribution": "The distribution of the divergence over all inputs: of two models as they stand, in both "
    "directions, and that of the first direction after the best change of coordinates; of one model from the prior. "
    "The arrows point at the largest values.",
    "directions": "As the models stand: each point is an input, with the divergence in one direction against that in "
    "the other.",
    "ellipses": "As the models stand: ellipses at one and two standard deviations, in the two dimensions that differ "
    "most. Left: the aggregated posterior of each model, without correlations between dimensions. Right: the "
    "posteriors of the input that differs most.",
}

# What is added to those of values of inputs where there are too many.
_SAMPLED, _OF_INPUTS = " The inputs are a random sample.", ("distribution", "directions")

_STATISTICS = {
    "median": "median",
    "5 %": "p05",
    "95 %": "p95",
    "largest": "max",
    "mean from means": "from_means",
    "mean from variances": "from_variances",
}

_PAGES = {1: "one.html.j2", 2: "page.html.j2"}

# How many dimensions the tables list.
_ROWS_SHOWN = 64


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kullback.comparison", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "plus_minus": plus_minus, "printable": printable, "verdict": _verdict}
    return environment


def template(name: str) -> jinja2.Template:
    """A template that lies beside this file."""
    return _environment().get_template(name)


def _source(name: str) -> str:
    """A file beside the templates, as it is."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def render(name: str, title: str, comparison: "Result", command: str | None, **variables: Any) -> str:
    """A page in the common layout, whose last lines say what ``comparison`` was computed from."""
    script = _source("sort.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return template(name).render(
        title=title,
        css=Markup(_source("style.css")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        rows=comparison.summary.count,
        event_shape=comparison.event_shape,
        prior=comparison.prior,
        command=command,
        version=__version__,
        torch_version=torch.__version__,
        python_version=platform.python_version(),
        **variables,
    )


def write(comparison: "Result", path: str | os.PathLike[str], command: str | None) -> None:
    """Write the page to a file, completely or not at all."""
    check_writable(path, (".html", ".htm"))
    title = " and ".join(comparison.names)
    write_text(path, render(_PAGES[len(comparison.names)], title, comparison, command, pair=view(comparison)))


def fragment(comparison: "Result") -> str:
    """The findings and the first table, for a notebook."""
    return template("fragment.html.j2").render(pair=view(comparison, figures=()))


def view(comparison: "Result", *, figures: Collection[str] | None = None, prefix: str = "") -> dict[str, Any]:
    """What the templates show of one comparison.

    Args:
        comparison: all of it is shown.
        figures: the names of the figures that are drawn; None for all.
        prefix: ids begin with it.
    """
    statistics = {pair: comparison.statistics(pair) for pair in comparison.summary.divergences}
    names = dict(_STATISTICS)
    if any(values["from_correlations"] for values in statistics.values()):
        names["mean from correlations"] = "from_correlations"
    labels, sampled = comparison.labels(), comparison.summary.sampled
    drawn = draw(comparison, figures)
    return {
        "names": comparison.names,
        # A zero-width space allows a line break before the second name, and nowhere else.
        "ordered_by": labels[comparison.shown[0]],
        "labels": {key: label.replace("‖", "‖\u200b") for key, label in labels.items()},
        "findings": comparison.findings(),
        "statistics": statistics,
        "statistic_names": names,
        "of_sample": of_sample(sampled) if sampled else None,
        "skipped": comparison.summary.skipped,
        "pictures": [
            picture(figure, f"{prefix}{name}", _CAPTIONS[name] + (_SAMPLED if sampled and name in _OF_INPUTS else ""))
            for name, figure in drawn.items()
        ],
        "found": comparison.coordinates,
        "maps": MAPS,
        "dimension_name": comparison.dimension_name,
        "dimensions": _dimensions(comparison),
        "event_size": math.prod(comparison.event_shape),
        "listed": _listed(comparison),
        "images": addresses(comparison.images),
        "rows_shown": _ROWS_SHOWN,
    }


def picture(figure: "Figure", name: str, caption: str) -> dict[str, Any]:
    """A figure as the templates show it; its caption is also what a screen reader says."""
    return {"name": name, "svg": Markup(svg(figure, name, caption)), "caption": caption}


def _dimensions(comparison: "Result") -> list[dict[str, Any]]:
    """The rows of the table of dimensions: those that differ most, in their order."""
    divergences = [comparison.per_dimension(pair).tolist() for pair in comparison.summary.divergences]
    shrinkage = [comparison.shrinkage(model).tolist() for model in comparison.summary.models]
    active = [comparison.active(model).tolist() for model in comparison.summary.models]
    found = comparison.coordinates
    left = found.per_dimension.tolist() if found else []
    return [
        {
            "name": comparison.dimension_name(i),
            "divergences": [values[i] for values in divergences],
            "left": left[i] if found else None,
            "shrinkage": [values[i] for values in shrinkage],
            "active": [name for name, mask in zip(comparison.names, active, strict=True) if mask[i]],
        }
        for i in sorted(comparison.most_different(_ROWS_SHOWN))
    ]


def _listed(comparison: "Result") -> dict[str, list[dict[str, Any]]]:
    """The inputs that differ most, by the divergence that says so."""
    labels, found = comparison.labels(), comparison.coordinates
    columns: dict[str, tuple[Sequence[Any], Sequence[float]]] = {}
    if found:
        columns[f"{labels[Pair.AB]} after {MAPS[found.best.kind]}"] = (found.largest.ids, found.largest.values)
    state = " as they stand" if len(comparison.names) > 1 else ""
    for pair in comparison.shown:
        largest = comparison.summary.divergences[pair].largest
        columns[f"{labels[pair]}{state}"] = (largest.ids, largest.values)
    return {
        title: [{"id": id_, "value": value} for id_, value in zip(*column, strict=True)]
        for title, column in columns.items()
    }


def _verdict(match: Match) -> str:
    """What a row of the table of matches says in its last column."""
    if match.are_partners:
        return "partners"
    collapsed = [name for name, is_so in (("first", match.collapsed_a), ("second", match.collapsed_b)) if is_so]
    return {0: "no partners", 1: f"the {''.join(collapsed)} is collapsed", 2: "both are collapsed"}[len(collapsed)]
