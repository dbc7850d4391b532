"""The mutual information of inputs and latent variables, from some of the rows."""

import functools
from typing import Any

import torch
from torch import Tensor

from kullback.estimate.mutual_information import mutual_information_estimate
from kullback.estimate.result import Estimate
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.registry import as_gaussian
from kullback.metrics import record, sample
from kullback.metrics.base import RecordMetric


class MutualInformation(RecordMetric):
    r"""The mutual information of inputs and latent variables, of a sample of all rows, with its standard error.

    At most ``size`` rows are kept, so that memory is constant: those whose numbers hash to the smallest values. It is
    the same sample in whatever order rows come, and however they are divided into batches and processes, if their
    numbers are the same to the last bit. ``compute()`` is :func:`kullback.mutual_information_estimate` of these rows.

    The mutual information of a sample is at most the logarithm of its size, and in expectation at most that of all
    rows: compare models, and epochs, by samples of one size. ``update(p)`` takes posteriors, as
    :func:`kullback.as_gaussian` converts them, of any batch shape. Calling the metric itself estimates that of each
    batch as well, which takes as long for each as for all: call ``update``.

    Shape:
        A single number, float64: NaN if a row is not finite, or there are no rows.
    Units:
        Nats.

    Args:
        size: how many rows are kept at most.
        n: the number of points of the estimate.
        seed: which rows are kept, and which points are drawn.
        settings: those of every metric of torchmetrics.

    Raises:
        ShapeError: if event shapes differ from one batch to the next.
        NoClosedForm: for what is not Gaussian, or has no density.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> from kullback.metrics import MutualInformation
        >>> metric = MutualInformation(n=1024)
        >>> metric.update(Gaussian.from_std(torch.tensor([[0.0]]), torch.ones(1, 1)))
        >>> metric.update(Gaussian.from_std(torch.tensor([[100.0]]), torch.ones(1, 1)))
        >>> round(metric.compute().item(), 6)
        0.693147
    """

    def __init__(self, size: int = 4096, n: int = 16384, seed: int = 0, **settings: Any) -> None:
        for name, x, least in (("size", size, 1), ("n", n, 1), ("seed", seed, 0)):
            if isinstance(x, bool) or not isinstance(x, int) or x < least:
                raise ValueError(f"{name} is a whole number from {least} up, got {x!r}.")
        merge = functools.partial(sample.merge, kept=size)
        super().__init__(f"sample_of_{size}_by_seed_{seed}", merge, **settings)
        self._size, self._n, self._seed = size, n, seed
        self._estimate: Estimate | None = None

    def update(self, p: Any, *others: Any) -> None:
        """Count the rows of a batch of posteriors: whatever :func:`kullback.as_gaussian` takes, and nothing beside."""
        event = self._check(p, *others)
        g = as_gaussian(p, "p").detach()
        mean, scale = self._here(g.mean), g.scale.map(lambda x, _: self._here(x), g.event_dims)
        wide = Gaussian(mean, scale.cast(mean.dtype, mean.device), g.event_dims)
        self._add(sample.of_gaussians(wide, self._size, self._seed))
        self._event = event

    def _value(self, x: Tensor) -> Tensor:
        nan = torch.full((), torch.nan, dtype=x.dtype, device=x.device)
        self._estimate = None
        _, rows = (0, None) if record.is_empty(x) else sample.read(x)
        if rows is None:
            return nan
        self._estimate = mutual_information_estimate(rows, n=self._n, seed=self._seed)
        value: Tensor = self._estimate.value
        return value

    @property
    def estimate(self) -> Estimate:
        """The estimate with all that is known about it, such as the warning that it is limited by ``log(size)``.

        Under data-parallel training every process must ask for it, unless it has just called ``compute()``.

        Raises:
            ValueError: if there is none, because a row is not finite or there are no rows.
        """
        self.compute()
        if self._estimate is None:
            raise ValueError(f"there is no estimate over {self.rows} rows: it takes at least one, all of them finite.")
        return self._estimate

    @property
    def standard_error(self) -> Tensor:
        """The standard error of the points that were drawn; it does not tell how the sample differs from all rows."""
        value = self.compute()
        return torch.full_like(value, torch.nan) if self._estimate is None else self._estimate.standard_error
