"""Posteriors in what a model returns, and the metrics of a stage of training that count them."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torchmetrics import Metric, MetricCollection

from kullback.gaussians.gaussian import Gaussian
from kullback.metrics.active_units import ActiveUnits
from kullback.metrics.divergences import Rate


class Reader:
    """Takes p, or p and q, from what a model returns: by a function, or by the names of two of its entries.

    Args:
        mu: the name of the posterior means, an entry or an attribute.
        logvar: that of the logarithms of the posterior variances.
        event_dims: how many of the last dimensions of the means are one Gaussian's coordinates.
        read: a function of the outputs instead, which returns p or ``(p, q)``.
    """

    def __init__(self, mu: str, logvar: str, event_dims: int, read: Callable[[Any], Any] | None) -> None:
        if read is not None and not callable(read):
            raise TypeError(f"read is a function of the outputs, got {type(read).__name__}.")
        self._names, self._event_dims, self._read = (mu, logvar), event_dims, read

    def __call__(self, outputs: Any) -> dict[str, Any]:
        """The arguments of ``update`` by name."""
        if self._read is None:
            mean, logvar = (_entry(outputs, name) for name in self._names)
            return {"p": Gaussian.from_logvar(mean, logvar, event_dims=self._event_dims)}
        result = self._read(outputs)
        if not isinstance(result, tuple):
            return {"p": result}
        if len(result) != 2:
            raise ValueError(f"read returns p or (p, q), got {len(result)} values.")
        return {"p": result[0], "q": result[1]}


def _entry(outputs: Any, name: str) -> Any:
    if isinstance(outputs, Mapping):
        if name in outputs:
            return outputs[name]
    elif not isinstance(outputs, Tensor) and hasattr(outputs, name):
        return getattr(outputs, name)
    what = f"with {', '.join(map(repr, outputs))}" if isinstance(outputs, Mapping) else f"a {type(outputs).__name__}"
    raise KeyError(
        f"no {name!r} in what the model returned, {what}: return it beside the loss, or give the callback its name, or "
        "a function as read."
    )


class Stage:
    """The metrics of one stage, such as training: a copy of those given, which counts that stage alone."""

    def __init__(self, metrics: MetricCollection) -> None:
        self._metrics = metrics.clone()
        self.reset()

    def reset(self) -> None:
        """Forget all rows."""
        self._metrics.reset()

    def update(self, arguments: Mapping[str, Any], device: Any) -> None:
        """Count a batch, on the device of the model."""
        self._metrics.to(device).update(**arguments)

    def values(self, device: Any) -> dict[str, Tensor]:
        """The values by name, over the batches of all processes since the last reset; one for each of several numbers.

        Every process has to call this, whether it has counted any rows or not.
        """
        with warnings.catch_warnings():
            # A process without rows has nothing to warn of.
            warnings.filterwarnings("ignore", "The ``compute`` method of metric", UserWarning)
            values = self._metrics.to(device).compute()
        self.reset()
        named: dict[str, Tensor] = {}
        for name, value in values.items():
            if value.numel() == 1:
                named[name] = value.reshape(())
            else:
                named |= {f"{name}_{i}": x for i, x in enumerate(value.flatten())}
        return named


Metrics = Mapping[str, Metric] | Sequence[Metric] | Metric | None


def collected(metrics: Metrics, *, in_pairs: bool) -> MetricCollection:
    """Metrics as a collection: by default the rate and the number of active dimensions.

    Raises:
        TypeError: for what is no metric, or one that needs q where posteriors alone are read.
    """
    if metrics is None:
        metrics = {"rate": Rate(), "active_units": ActiveUnits()}
    collection = MetricCollection(dict(metrics) if isinstance(metrics, Mapping) else metrics)
    for name, metric in collection.items():
        if not in_pairs and "q" in inspect.signature(type(metric).update).parameters:
            raise TypeError(
                f"the metric {name!r} needs p and q, but mu and logvar give p alone: pass read, a function that takes "
                "outputs to (p, q), or a Rate, which has a prior."
            )
    return collection
