"""Metrics of training on torchmetrics, merged rightly under data-parallel training, and callbacks that log them.

- ``record.py``: a state as one tensor, with the number of rows and the shape of the event in front; ``moments.py``: the
  moments of rows as such a record; ``sample.py``: some of the rows, the same however they are divided into batches.
- ``base.py``: a metric whose whole state is one record; ``divergences.py``: the mean divergence, of rows and of
  dimensions; ``active_units.py`` and ``mutual_information.py``: what posteriors tell about inputs.
- ``reading.py``: posteriors in what a model returns; ``lightning.py`` and ``transformers.py``: callbacks of the two
  trainers, which import neither.

Needs torchmetrics. May import ``comparison/`` and what comes before.
"""

try:
    import torchmetrics as _torchmetrics  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torchmetrics":
        raise
    raise ModuleNotFoundError(
        "kullback.metrics needs torchmetrics, which is not installed: pip install 'kullback[metrics]'",
        name="torchmetrics",
    ) from None

from kullback.metrics.active_units import ActiveUnits
from kullback.metrics.divergences import GaussianKL, KLPerDimension, Rate
from kullback.metrics.lightning import LightningCallback
from kullback.metrics.mutual_information import MutualInformation
from kullback.metrics.transformers import TransformersCallback

__all__ = [
    "ActiveUnits",
    "GaussianKL",
    "KLPerDimension",
    "LightningCallback",
    "MutualInformation",
    "Rate",
    "TransformersCallback",
]
