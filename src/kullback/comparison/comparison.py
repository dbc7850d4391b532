"""The result of comparing two models, as data.

Methods that render import their renderer when they are called, and a renderer reads only what is public here.
"""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kullback.comparison.aggregate import Aggregate
from kullback.comparison.coordinates import Coordinates
from kullback.comparison.images import Image
from kullback.comparison.statistics import Thresholds, statistics
from kullback.comparison.summary import Pair, Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Comparison:
    """The result of :func:`compare`. Print it, or call :meth:`scalars`, :meth:`to_json` or :meth:`report`.

    Its divergences are those of A from B (``"ab"``), of B from A (``"ba"``), and of each model from the prior
    (``"rate_a"`` and ``"rate_b"``).
    """

    summary: Summary
    event_shape: torch.Size
    names: tuple[str, str]
    prior: str
    prior_variance: Tensor
    """The variance of the prior in each dimension, with the event flattened."""
    thresholds: Thresholds
    """By what latent dimensions are called active, collapsed, and partners."""
    aligned: Coordinates | str
    """The alignments and what they leave; or a sentence that says why there are none."""
    aggregated: Aggregate | str
    """The comparison of the aggregated posteriors; or a sentence that says why there is none."""
    images: Mapping[Any, Image]
    """The images of the inputs that are listed, by their ids, where there are any."""

    @property
    def coordinates(self) -> Coordinates | None:
        """The alignments and what they leave, if there are any."""
        return self.aligned if isinstance(self.aligned, Coordinates) else None

    @property
    def aggregate(self) -> Aggregate | None:
        """The comparison of the aggregated posteriors, if there is one."""
        return self.aggregated if isinstance(self.aggregated, Aggregate) else None

    def labels(self) -> dict[str, str]:
        """The four divergences as formulas that name the models, such as ``KL(A‖B)``."""
        return {pair.value: pair.label(*self.names) for pair in Pair}

    def statistics(self, which: str) -> dict[str, float]:
        """The mean over inputs of one divergence, its standard error, quantiles and largest value, in nats.

        ``from_means``, ``from_variances`` and ``from_correlations`` add up to the mean; the last is 0 if both are
        diagonal.

        Args:
            which: ``"ab"``, ``"ba"``, ``"rate_a"`` or ``"rate_b"``.
        """
        return self._statistics[Pair(which)]

    @functools.cached_property
    def _statistics(self) -> dict[Pair, dict[str, float]]:
        return {pair: statistics(divergence) for pair, divergence in self.summary.divergences.items()}

    def per_dimension(self, which: str) -> Tensor:
        """The contribution of each dimension, with the event flattened, to the mean over inputs of one divergence.

        It is the mean divergence of the marginals. Of Gaussians that are not diagonal, correlations contribute too.
        """
        return self.summary.divergences[Pair(which)].per_dimension.flatten()

    def dimension_name(self, flat: int) -> str:
        """The index of a dimension in the event, for its index in the flattened event: ``"1,2,2"``."""
        return ",".join(str(i) for i in np.unravel_index(flat, tuple(self.event_shape)))

    def active(self, model: str) -> Tensor:
        """A mask of the active dimensions of model ``"a"`` or ``"b"``: the variance over inputs of their posterior mean
        is above ``thresholds.active_variance``, 0.01 unless another was given.
        """
        return self.summary.means[model].variance.flatten() > self.thresholds.active_variance

    def collapsed(self, model: str) -> Tensor:
        """A mask of the collapsed dimensions of model ``"a"`` or ``"b"``: their mean rate is below
        ``thresholds.collapsed_nats``, 0.01 unless another was given.
        """
        return self.per_dimension(Pair.rate(model)) < self.thresholds.collapsed_nats

    def shrinkage(self, model: str) -> Tensor:
        """1 minus the mean posterior variance divided by the prior's, for each dimension of model ``"a"`` or ``"b"``.

        It is 0 where inputs say nothing, and near 1 where each input determines its code.
        """
        return 1.0 - self.summary.variances[model].mean.flatten() / self.prior_variance

    def most_different(self, k: int = 2, which: str = "ab") -> list[int]:
        """The ``k`` dimensions (or all, if there are fewer) with the largest mean of one divergence, largest first."""
        return self.per_dimension(which).argsort(descending=True, stable=True)[:k].tolist()

    def scalars(self) -> dict[str, float]:
        """The numbers over all inputs and dimensions as a flat dictionary, for loggers; see also :meth:`to_dict`.

        The names stay the same from version to version; ``kullback compare --list-scalars`` says what each is.
        """
        from kullback.comparison.scalars import scalars

        return scalars(self)

    def findings(self) -> list[str]:
        """The main results as sentences with numbers, the most important first."""
        from kullback.comparison.findings import findings

        return findings(self)

    def to_dict(self) -> dict[str, Any]:
        """All results as lists, strings and numbers; None stands for a number that is not finite."""
        from kullback.comparison.report.plain import to_dict

        return to_dict(self)

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON."""
        from kullback.comparison.report.plain import to_json

        return to_json(self)

    def figures(self) -> "dict[str, Figure]":
        """The figures of the report, by name, as matplotlib figures."""
        from kullback.comparison.report.figures import draw

        return draw(self)

    def report(self, path: str | os.PathLike[str], *, command: str | None = None) -> None:
        """Write the findings, tables and figures as one HTML file that loads nothing else.

        Args:
            path: the file, ``.html``.
            command: how the comparison was made, for the last lines of the page, beside the versions.
        """
        from kullback.comparison.report.html import write

        write(self, path, command)

    def __str__(self) -> str:
        from kullback.comparison.report.plain import to_text

        return to_text(self)

    def __repr__(self) -> str:
        a, b = self.names
        return f"Comparison({a} with {b}, {self.summary.count} rows, event_shape={tuple(self.event_shape)})"

    def _repr_html_(self) -> str:
        from kullback.comparison.report.html import fragment

        return fragment(self)
