"""What is found out about models, as data: of one, and of two that are compared.

Methods that render import their renderer when they are called, and a renderer reads only what is public here.
"""

import abc
import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from kullback.comparison.aggregate import Aggregate
from kullback.comparison.coordinates import Coordinates
from kullback.comparison.images import Image
from kullback.comparison.pair import Pair
from kullback.comparison.statistics import Thresholds, statistics
from kullback.comparison.summary import Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Result(abc.ABC):
    """One model, or two, over the same inputs. Print it, or call :meth:`scalars`, :meth:`to_json` or :meth:`report`."""

    shown: ClassVar[tuple[Pair, ...]]
    """The divergences by which inputs and dimensions are listed, the first before the others."""

    figure_names: ClassVar[tuple[str, ...]]
    """The figures of the report, in their order."""

    summary: Summary
    event_shape: torch.Size
    names: tuple[str, ...]
    prior: str
    prior_variance: Tensor
    """The variance of the prior in each dimension, with the event flattened."""
    thresholds: Thresholds
    """By what latent dimensions are called active, collapsed, and partners."""
    aligned: Coordinates | str
    """The alignments and what they leave; or a sentence that says why there are none."""
    aggregated: Aggregate | str
    """What the aggregated posteriors are like; or a sentence that says why there is none."""
    images: Mapping[Any, Image]
    """The images of the inputs that are listed, by their ids, where there are any."""

    @property
    def coordinates(self) -> Coordinates | None:
        """The alignments and what they leave, if there are any."""
        return self.aligned if isinstance(self.aligned, Coordinates) else None

    @property
    def aggregate(self) -> Aggregate | None:
        """What the aggregated posteriors are like, if that is known."""
        return self.aggregated if isinstance(self.aggregated, Aggregate) else None

    def labels(self) -> dict[str, str]:
        """The divergences as formulas that name the models, such as ``KL(A‖B)``."""
        return {pair.value: pair.label(*self.names) for pair in self.summary.divergences}

    def statistics(self, which: str) -> dict[str, float]:
        """The mean over inputs of one divergence, its standard error, quantiles and largest value, in nats.

        ``from_means``, ``from_variances`` and ``from_correlations`` add up to the mean; the last is 0 if both are
        diagonal.

        Args:
            which: ``"ab"``, ``"ba"``, ``"rate_a"`` or ``"rate_b"``; of a single model ``"rate_a"``.
        """
        return self._of(self._statistics, which)

    @functools.cached_property
    def _statistics(self) -> dict[Pair, dict[str, float]]:
        return {pair: statistics(of, self.summary.rows(pair)) for pair, of in self.summary.divergences.items()}

    def per_dimension(self, which: str) -> Tensor:
        """The contribution of each dimension, with the event flattened, to the mean over inputs of one divergence.

        It is the mean divergence of the marginals. Of Gaussians that are not diagonal, correlations contribute too.
        """
        return self._of(self.summary.divergences, which).per_dimension.flatten()

    def dimension_name(self, flat: int) -> str:
        """The index of a dimension in the event, for its index in the flattened event: ``"1,2,2"``."""
        return ",".join(str(i) for i in np.unravel_index(flat, tuple(self.event_shape)))

    def active(self, model: str) -> Tensor:
        """A mask of the active dimensions of model ``"a"`` or ``"b"``: the variance over inputs of their posterior mean
        is above ``thresholds.active_variance``, 0.01 unless another was given.
        """
        return self._of(self.summary.models, model).means.variance.flatten() > self.thresholds.active_variance

    def collapsed(self, model: str) -> Tensor:
        """A mask of the collapsed dimensions of model ``"a"`` or ``"b"``: their mean rate is below
        ``thresholds.collapsed_nats``, 0.01 unless another was given.
        """
        return self.per_dimension(Pair.rate(model)) < self.thresholds.collapsed_nats

    def shrinkage(self, model: str) -> Tensor:
        """1 minus the mean posterior variance divided by the prior's, for each dimension of model ``"a"`` or ``"b"``.

        It is 0 where inputs say nothing, and near 1 where each input determines its code.
        """
        return 1.0 - self._of(self.summary.models, model).variances.mean.flatten() / self.prior_variance

    def most_different(self, k: int = 2, which: str | None = None) -> list[int]:
        """The ``k`` dimensions (or all, if there are fewer) with the largest mean of one divergence, largest first.

        Without ``which``, of A from B, and of a single model from the prior.
        """
        return self.per_dimension(which or self.shown[0]).argsort(descending=True, stable=True)[:k].tolist()

    def _of(self, found: Mapping[Any, T], key: str) -> T:
        """What is known of a model or a divergence; a ValueError that lists those that there are."""
        if key in found:
            return found[key]
        expected = "there is one model; expected" if len(self.names) == 1 else "expected one of"
        raise ValueError(f"{expected} {', '.join(repr(str(known)) for known in found)}, got {str(key)!r}.")

    def scalars(self) -> dict[str, float]:
        """The numbers over all inputs and dimensions as a flat dictionary, for loggers; see also :meth:`to_dict`.

        The names stay the same from version to version; ``kullback compare --list-scalars`` says what each is.
        """
        from kullback.comparison.scalars import scalars

        return scalars(self)

    @abc.abstractmethod
    def findings(self) -> list[str]:
        """The main results as sentences with numbers, the most important first."""

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
            command: how it was made, for the last lines of the page, beside the versions.
        """
        from kullback.comparison.report.html import write

        write(self, path, command)

    def __str__(self) -> str:
        from kullback.comparison.report.plain import to_text

        return to_text(self)

    def __repr__(self) -> str:
        names, rows = " with ".join(self.names), self.summary.count
        return f"{type(self).__name__}({names}, {rows} rows, event_shape={tuple(self.event_shape)})"

    def _repr_html_(self) -> str:
        from kullback.comparison.report.html import fragment

        return fragment(self)
