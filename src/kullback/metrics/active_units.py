"""The number of latent dimensions that are used."""

from typing import Any

import torch
from torch import Tensor

from kullback.interop.registry import as_gaussian
from kullback.metrics import moments
from kullback.metrics.base import RecordMetric


class ActiveUnits(RecordMetric):
    r"""The number of active dimensions: of those whose posterior mean varies over inputs.

    .. math:: \#\{i : \operatorname{Var}_x \mu_i(x) > \text{threshold}\}

    The variance is the unbiased one over all rows, kept in float64 however they are divided into batches and processes.
    ``update(p)`` takes posteriors, as :func:`kullback.as_gaussian` converts them, of any batch shape.

    Shape:
        A single number, float64: NaN if a mean is not finite, or there are fewer than two rows.
    Units:
        Dimensions.

    Args:
        threshold: the variance above which a dimension is active.
        settings: those of every metric of torchmetrics.

    Raises:
        ShapeError: if event shapes differ from one batch to the next.
        NoClosedForm: for what is not Gaussian.

    Reference:
        Y. Burda, R. Grosse and R. Salakhutdinov, Importance weighted autoencoders, ICLR 2016.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> from kullback.metrics import ActiveUnits
        >>> metric = ActiveUnits()
        >>> metric.update(Gaussian.from_std(torch.tensor([[1.0, 0.0], [2.0, 0.1]]), torch.ones(2, 2)))
        >>> metric.compute(), metric.mask
        (tensor(1., dtype=torch.float64), tensor([ True, False]))
    """

    def __init__(self, threshold: float = 0.01, **settings: Any) -> None:
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not threshold >= 0:
            raise ValueError(f"threshold is a variance from 0 up, got {threshold!r}: 0.01 is usual.")
        super().__init__("posterior_means", moments.merge, **settings)
        self._threshold = float(threshold)
        self._variances: Tensor = torch.tensor(torch.nan)

    def update(self, p: Any, *others: Any) -> None:
        """Count the rows of a batch of posteriors: whatever :func:`kullback.as_gaussian` takes, and nothing beside."""
        event = self._check(p, *others)
        g = as_gaussian(p, "p")
        means = self._here(g.mean).expand(*g.batch_shape, *g.event_shape)
        self._add(moments.of_rows(means.reshape(-1, *g.event_shape), g.event_shape))
        self._event = event

    def _value(self, x: Tensor) -> Tensor:
        over_rows, _ = moments.read(x)
        self._variances = variances = over_rows.variance
        number = (variances > self._threshold).sum().to(torch.float64)
        return torch.where(variances.isnan().any(), torch.nan, number)

    @property
    def mask(self) -> Tensor:
        """Which dimensions are active, of the event shape.

        Under data-parallel training every process must ask for it, unless it has just called ``compute()``.

        Raises:
            ValueError: if the number of active dimensions is NaN.
        """
        if self.compute().isnan():
            raise ValueError(
                f"there is no variance of posterior means over {self.rows} rows: it takes two rows, and finite means."
            )
        return self._variances > self._threshold
