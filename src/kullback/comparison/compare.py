"""Two models' posteriors of the same inputs, compared: row by row, dimension by dimension, and with the prior."""

import functools
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kullback.comparison.summary import Divergences, Summary
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.registry import as_gaussian
from kullback.io.posteriors import read_pair, read_posteriors
from kullback.io.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS_PER_BATCH = 16_384

# A latent dimension is active if the variance of its posterior mean over inputs exceeds this (Burda, Grosse and
# Salakhutdinov 2016), and collapsed if its mean divergence from the prior is below this many nats.
ACTIVE_VARIANCE = 0.01
COLLAPSED_NATS = 0.01

COORDINATES_WARNING = (
    "Two VAEs trained separately share latent coordinates at best up to a permutation, signs and a rotation. "
    "KL between their posteriors compares each coordinate with the one of the same number: it measures how far the "
    "codes differ as they stand, not whether they could be turned into each other."
)


def compare(
    a: Any,
    b: Any,
    *,
    prior: Any = None,
    names: tuple[str, str] = ("A", "B"),
    progress: Callable[[int, int], None] | None = None,
) -> "Comparison":
    """Compare the posteriors of two models over the same inputs.

    Computed in float64, batch by batch.

    Args:
        a: posteriors of the first model: a Gaussian with one batch dimension (a row for each input), a
            ``torch.distributions`` Independent(Normal), or the path of a file that holds one model.
        b: those of the second, of the same shape. Two files are joined on their ids if both have some.
        prior: the Gaussian that both models are held against; None is the standard normal.
        names: what to call them.
        progress: called with the number of rows done and of all rows.

    Returns:
        A :class:`Comparison`.

    Raises:
        ShapeError: if there is not one Gaussian for each input on both sides.
        PosteriorFileError: if a file does not hold what it should.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, compare
        >>> a = Gaussian.from_logvar(torch.zeros(100, 8), torch.zeros(100, 8))
        >>> b = Gaussian.from_std(torch.ones(100, 8), 1.0)
        >>> compare(a, b).scalars()["kl_ab.mean"]
        4.0
    """
    ids, p, q = _rows(a, b)
    return compare_rows(ids, p, q, prior=prior, names=names, progress=progress)


def compare_rows(
    ids: Sequence[Any],
    p: Gaussian,
    q: Gaussian,
    *,
    prior: Any = None,
    names: tuple[str, str] = ("A", "B"),
    progress: Callable[[int, int], None] | None = None,
) -> "Comparison":
    """:func:`compare` for rows that have been read and joined, with what identifies them."""
    if isinstance(names, str) or len(names) != 2 or names[0] == names[1]:
        raise ValueError(f"names must be two different names, got {names!r}.")
    center = Gaussian.standard(p.event_shape) if prior is None else as_gaussian(prior, "prior")
    if center.event_shape != p.event_shape or center.batch_shape:
        raise ShapeError(
            f"prior has batch shape {tuple(center.batch_shape)} and event shape {tuple(center.event_shape)}; "
            f"expected one Gaussian of event shape {tuple(p.event_shape)}."
        )
    summary = Summary.empty()
    for rows in _slices(len(ids)):
        summary = summary.update(ids[rows], p[rows], q[rows], center)
        if progress:
            progress(rows.stop, len(ids))
    called = (printable(names[0]), printable(names[1]))
    return Comparison(
        summary, p.event_shape, called, "N(0, I)" if prior is None or not center.tensors() else "that was given"
    )


def _slices(rows: int) -> Iterator[slice]:
    return (slice(i, min(i + ROWS_PER_BATCH, rows)) for i in range(0, rows, ROWS_PER_BATCH))


def _rows(a: Any, b: Any) -> tuple[list[Any], Gaussian, Gaussian]:
    if isinstance(a, (str, os.PathLike)) and isinstance(b, (str, os.PathLike)):
        ids, first, second = read_pair(a, b)
        return ids, first.gaussian, second.gaussian
    p, q = (
        read_posteriors(x).gaussian if isinstance(x, (str, os.PathLike)) else as_gaussian(x, name)
        for x, name in ((a, "a"), (b, "b"))
    )
    for name, gaussian in (("a", p), ("b", q)):
        if len(gaussian.batch_shape) != 1 or not gaussian.event_dims:
            raise ShapeError(
                f"{name} has batch shape {tuple(gaussian.batch_shape)} and event shape {tuple(gaussian.event_shape)}; "
                "compare needs one Gaussian for each input: means of shape (N, d), or (N, C, H, W) with event_dims=3, "
                "or Independent(Normal(mean, std), 1). The prior is compared with anyway."
            )
        if not gaussian.scale.is_diagonal:
            raise ValueError(
                f"{name} is given as {gaussian.scale.parameterization}: compare shows what each dimension contributes, which only "
                "diagonal Gaussians have. kl_divergence(a, b) and kl_decomposition(a, b) take any."
            )
    if p.batch_shape != q.batch_shape or p.event_shape != q.event_shape:
        raise ShapeError(
            f"a has {len(p)} rows of event shape {tuple(p.event_shape)}, b has {len(q)} of {tuple(q.event_shape)}."
        )
    if not len(p) or not p.event_size:
        raise ShapeError(f"a and b have {len(p)} rows of {p.event_size} dimensions: nothing to compare.")
    return list(range(len(p))), p, q


@dataclass(frozen=True, eq=False)
class Comparison:
    """What :func:`compare` found. Print it, or take its :meth:`scalars`, :meth:`to_json`, :meth:`report`."""

    summary: Summary
    event_shape: torch.Size
    names: tuple[str, str]
    prior: str

    warning = COORDINATES_WARNING

    def labels(self) -> dict[str, str]:
        """What each of the four divergences is called."""
        a, b = self.names
        return {"ab": f"KL({a}‖{b})", "ba": f"KL({b}‖{a})", "rate_a": f"KL({a}‖prior)", "rate_b": f"KL({b}‖prior)"}

    def statistics(self, which: str) -> dict[str, float]:
        """Mean, standard error, quantiles and largest of one divergence over inputs, and its mean's parts; in nats.

        ``which`` is ``"ab"``, ``"ba"``, ``"rate_a"`` or ``"rate_b"``.
        """
        return self._statistics[which]

    @functools.cached_property
    def _statistics(self) -> dict[str, dict[str, float]]:
        return {which: _statistics(divergences) for which, divergences in self.summary.divergences.items()}

    def per_dimension(self, which: str) -> Tensor:
        """The mean over inputs of one divergence, dimension by dimension (the event flattened)."""
        return self.summary.divergences[which].per_dimension.flatten()

    def dimension_name(self, flat: int) -> str:
        """The index of a dimension, as the event is indexed."""
        return ",".join(str(i) for i in np.unravel_index(flat, tuple(self.event_shape)))

    def active(self, model: str) -> Tensor:
        """Which dimensions of model ``"a"`` or ``"b"`` are active: the posterior mean varies over inputs by > 0.01."""
        return self.summary.means[model].variance.flatten() > ACTIVE_VARIANCE

    def collapsed(self, model: str) -> Tensor:
        """Which dimensions of model ``"a"`` or ``"b"`` are collapsed: less than 0.01 nats from the prior on average."""
        return self.per_dimension(f"rate_{model}") < COLLAPSED_NATS

    def scalars(self) -> dict[str, float]:
        """The numbers over all inputs and dimensions as a flat dictionary, for loggers; see also :meth:`to_dict`."""
        result: dict[str, float] = {"rows": self.summary.count, "dimensions": math.prod(self.event_shape)}
        for which in self.summary.divergences:
            result |= {f"{_key(which)}.{name}": value for name, value in self.statistics(which).items()}
        for model in "ab":
            result[f"active_units_{model}"] = int(self.active(model).sum())
            result[f"collapsed_units_{model}"] = int(self.collapsed(model).sum())
        return result

    def findings(self) -> list[str]:
        """What was found, in sentences with numbers."""
        from kullback.comparison.findings import findings

        return findings(self)

    def most_different(self, k: int = 2) -> list[int]:
        """The ``k`` dimensions (or all, if there are fewer) with the largest mean KL(A‖B) + KL(B‖A), largest first."""
        both = self.per_dimension("ab") + self.per_dimension("ba")
        return both.argsort(descending=True, stable=True)[:k].tolist()

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain lists and numbers; what is not finite is None."""

        def plain(divergences: Divergences) -> dict[str, Any]:
            return {
                "per_dimension": divergences.per_dimension.tolist(),
                "per_dimension_from_means": divergences.from_means.mean.tolist(),
                "per_dimension_from_variances": divergences.from_variances.mean.tolist(),
                "largest": [
                    {"id": i, "kl": v} for i, v in zip(divergences.largest.ids, divergences.largest.values, strict=True)
                ],
            }

        everything = {
            "names": list(self.names),
            "prior": self.prior,
            "warning": self.warning,
            "findings": self.findings(),
            "event_shape": list(self.event_shape),
            "scalars": self.scalars(),
            **{name: plain(divergences) for name, divergences in self.summary.divergences.items()},
            "active": {m: self.active(m).nonzero().flatten().tolist() for m in "ab"},
            "collapsed": {m: self.collapsed(m).nonzero().flatten().tolist() for m in "ab"},
        }
        return {key: _finite(value) for key, value in everything.items()}

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)

    def figures(self) -> "dict[str, Figure]":
        """The pictures of the report, as matplotlib figures by name."""
        from kullback.comparison.report.figures import draw

        return draw(self)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write one HTML file that needs nothing else: findings, tables and pictures."""
        from kullback.comparison.report.html import page
        from kullback.io.output import check_writable, write_text

        check_writable(path, (".html", ".htm"))
        write_text(path, page(self))

    def __str__(self) -> str:
        lines = [f"warning: {self.warning}"]
        lines += [f"finding.{i}: {finding}" for i, finding in enumerate(self.findings(), 1)]
        lines += [f"{key}: {exact(value)}" for key, value in self.scalars().items()]
        for model in "ab":
            lines.append(f"active_{model}: {self._dimension_names(self.active(model))}")
            lines.append(f"collapsed_{model}: {self._dimension_names(self.collapsed(model))}")
        for which, divergences in self.summary.divergences.items():
            prefix, largest = _key(which), divergences.largest
            lines += [
                f"{prefix}.dimension.{self.dimension_name(i)}: {exact(value)}"
                for i, value in enumerate(self.per_dimension(which).tolist())
            ]
            lines += [
                f"{prefix}.largest.{i}: {exact(value)} (input {printable(row)})"
                for i, (value, row) in enumerate(zip(largest.values, largest.ids, strict=True), 1)
            ]
        return "\n".join(lines)

    def _dimension_names(self, mask: Tensor) -> str:
        return " ".join(self.dimension_name(i) for i in mask.nonzero().flatten().tolist()) or "none"

    def __repr__(self) -> str:
        a, b = self.names
        return f"Comparison({a} with {b}, {self.summary.count} rows, event_shape={tuple(self.event_shape)})"

    def _repr_html_(self) -> str:
        from kullback.comparison.report.html import fragment

        return fragment(self)


def _statistics(divergences: Divergences) -> dict[str, float]:
    values = divergences.rows.numpy()
    with np.errstate(invalid="ignore"):
        quantiles = np.quantile(values, [0.05, 0.5, 0.95])
    if np.isnan(quantiles).any():
        # Between a finite value and infinity nothing can be interpolated.
        quantiles = np.quantile(values, [0.05, 0.5, 0.95], method="higher")
    low, median, high = quantiles.tolist()
    # Squares of the largest values may overflow where the deviation does not.
    unit = values.max() if 0 < values.max() < math.inf else 1.0
    error = math.nan
    if len(values) > 1 and np.isfinite(values).all():
        error = unit * (values / unit).std(ddof=1) / math.sqrt(len(values))
    return {
        "mean": float(values.mean()),
        "standard_error": float(error),
        "median": median,
        "p05": low,
        "p95": high,
        "max": float(values.max()),
        "from_means": float(divergences.from_means.mean.sum()),
        "from_variances": float(divergences.from_variances.mean.sum()),
    }


def _key(which: str) -> str:
    return which if which.startswith("rate") else f"kl_{which}"


def exact(x: float) -> str:
    """A number for a program."""
    return str(x) if isinstance(x, int) else f"{x:.10g}"


def _finite(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: _finite(value) for key, value in x.items()}
    if isinstance(x, list):
        return [_finite(value) for value in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x
