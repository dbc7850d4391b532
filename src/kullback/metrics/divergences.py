"""The mean divergence over rows: of rows, of dimensions, and from a prior."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kullback.divergences.kl import kl_divergence, kl_per_dimension
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.registry import as_gaussian
from kullback.metrics import moments
from kullback.metrics.base import RecordMetric
from kullback.numerics.arrays import from_callers_type


class MeanMetric(RecordMetric):
    """The mean over rows, with its standard error."""

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(name, moments.merge, **settings)
        self._error: Tensor = torch.tensor(torch.nan)

    @property
    def standard_error(self) -> Tensor:
        """The standard error of the mean, of its shape: NaN for fewer than two rows, and beside an infinite mean.

        Under data-parallel training every process must ask for it, unless it has just called ``compute()``.
        """
        self.compute()
        return self._error

    def _value(self, x: Tensor) -> Tensor:
        over_rows, _ = moments.read(x)
        self._error = (over_rows.variance / over_rows.count).sqrt() if over_rows.count else over_rows.mean
        return over_rows.mean

    def _add_rows(self, values: Any, event: Sequence[int] = ()) -> None:
        """Count a number, or an event of numbers, for each row of a batch."""
        rows = self._here(from_callers_type(values)).reshape(-1, *event)
        self._add(moments.of_rows(rows, torch.Size(event)))


class GaussianKL(MeanMetric):
    r"""The mean of KL(p‖q) over all rows, :math:`\frac1N \sum_x D(p_x \,\|\, q_x)`, with its standard error.

    ``update(p, q)`` takes what :func:`kullback.kl_divergence` takes, of any batch shape: each element of the batch is a
    row. A plain Normal of means ``(N, d)`` is refused, because its dimensions would be rows: give
    ``Independent(Normal(mean, std), 1)``. The mean is over rows, however they are divided into batches and processes.
    Moments are kept in float64, and no graph is kept alive.

    Shape:
        A single number, float64.
    Units:
        Nats. Infinite if a row is; NaN if a row is, or there are no rows.

    Args:
        settings: those of every metric of torchmetrics, such as ``dist_sync_on_step``.

    Raises:
        ShapeError: if the events differ, within a batch or from one to the next, or the batches do not broadcast.
        NoClosedForm: for distributions that have no closed form.

    Reference:
        T. F. Chan, G. H. Golub and R. J. LeVeque, Updating formulae and a pairwise algorithm for computing sample
        variances, COMPSTAT 1982.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> from kullback.metrics import GaussianKL
        >>> metric, prior = GaussianKL(), Gaussian.standard(2)
        >>> metric.update(Gaussian.from_std(torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.ones(2, 2)), prior)
        >>> metric.update(Gaussian.from_std(torch.tensor([[3.0, 0.0]]), torch.ones(1, 2)), prior)
        >>> metric.compute(), round(metric.standard_error.item(), 6)
        (tensor(2.3333, dtype=torch.float64), 1.166667)
    """

    _in_pairs = True

    def __init__(self, **settings: Any) -> None:
        super().__init__("kl_of_rows", **settings)

    def update(self, p: Any, q: Any) -> None:
        """Count the rows of a batch: whatever :func:`kullback.kl_divergence` takes."""
        event = self._check(p, q)
        with torch.no_grad():
            self._add_rows(kl_divergence(p, q))
        self._event = event


class KLPerDimension(MeanMetric):
    """The mean over rows of what each dimension contributes to KL(p‖q), with its standard error.

    ``update(p, q)`` takes what :func:`kullback.kl_per_dimension` takes; otherwise as :class:`GaussianKL`, which is the
    sum over dimensions.

    Shape:
        The event shape, float64.
    Units:
        Nats.

    Raises:
        NoClosedForm: if p or q is not diagonal: the dimensions of others do not contribute one by one.
        ShapeError: if the events differ, within a batch or from one batch to the next.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> from kullback.metrics import KLPerDimension
        >>> metric = KLPerDimension()
        >>> metric(Gaussian.from_std(torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.ones(2, 2)), Gaussian.standard(2))
        tensor([1.2500, 0.0000], dtype=torch.float64)
    """

    _in_pairs = True

    def __init__(self, **settings: Any) -> None:
        super().__init__("kl_of_dimensions", **settings)

    def update(self, p: Any, q: Any) -> None:
        """Count the rows of a batch: whatever :func:`kullback.kl_per_dimension` takes."""
        event = self._check(p, q)
        with torch.no_grad():
            self._add_rows(kl_per_dimension(p, q), event)
        self._event = event


class Rate(MeanMetric):
    """The rate of a VAE: the mean over rows of KL(p‖prior), with its standard error.

    ``update(p)`` takes posteriors, as :func:`kullback.as_gaussian` converts them; otherwise as :class:`GaussianKL`,
    which takes a prior that is trained, or that depends on the row.

    Shape:
        A single number, float64.
    Units:
        Nats.

    Args:
        prior: a single Gaussian, which is not trained; by default the standard normal of the event of p.
        settings: those of every metric of torchmetrics.

    Raises:
        ShapeError: if the event of p is not that of the prior, or of the batches before; or p is a plain Normal of
            means ``(N, d)``, whose dimensions would be rows.
        NoClosedForm: for what is not Gaussian.

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from kullback.metrics import Rate
        >>> Rate()(Independent(Normal(torch.ones(8, 4), torch.ones(8, 4)), 1))
        tensor(2., dtype=torch.float64)
    """

    def __init__(self, prior: Any = None, **settings: Any) -> None:
        fixed = None if prior is None else as_gaussian(prior, "prior").detach()
        if fixed is not None and fixed.batch_shape:
            raise ShapeError(
                f"prior is a single Gaussian, got batch shape {tuple(fixed.batch_shape)}: GaussianKL takes "
                "one for each row."
            )
        super().__init__("rate" if fixed is None else f"rate_from_{_digest(fixed)}", **settings)
        self._prior = fixed

    def _check(self, p: Any, *others: Any, **named: Any) -> torch.Size:
        """Nor may the event differ from that of the prior."""
        event = super()._check(p, *others, **named)
        if self._prior is not None and self._prior.event_shape != event:
            raise ShapeError(
                f"p has event shape {tuple(event)}, the prior of this Rate has {tuple(self._prior.event_shape)}. Give "
                "both one: Rate(prior)."
            )
        return event

    def update(self, p: Any, *others: Any) -> None:
        """Count the rows of a batch of posteriors: whatever :func:`kullback.as_gaussian` takes, and nothing beside."""
        event = self._check(p, *others)
        with torch.no_grad():
            g = as_gaussian(p, "p").detach()
            prior = Gaussian.standard(g.event_shape) if self._prior is None else self._prior
            self._add_rows(kl_divergence(g, prior.to(device=g.device) if prior.tensors() else prior))
        self._event = event


def _digest(g: Gaussian) -> str:
    """A name for the numbers and shapes of a Gaussian."""
    digest = hashlib.sha256(repr((g.event_shape, g.batch_shape, g.scale.parameterization)).encode())
    for x in g.to(torch.float64, "cpu").tensors():
        digest.update(x.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
