"""A callback of Lightning's ``Trainer``."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from kullback.metrics.reading import Metrics, Reader, Stage, collected

# The stages of Lightning, and what the names of their values start with.
_STAGES = {"train": "train", "validation": "val", "test": "test"}


class LightningCallback:
    """Logs metrics of posteriors in Lightning: ``Trainer(callbacks=[LightningCallback()])``.

    At the end of an epoch of training, validation and test it logs each metric over all rows of the epoch, of all
    processes, as ``train/rate``, ``val/rate`` and ``test/rate``; of a metric of several numbers each, as
    ``val/per_dimension_0``. It takes the posteriors from what ``training_step``, ``validation_step`` and ``test_step``
    return: a dictionary with the loss and with the entries ``mu`` and ``logvar``, or what ``read`` understands. A step
    that returns nothing is not counted. A sampler that repeats rows in validation or test is warned of.

    Nothing is saved in checkpoints, which hold the state of one process: after a resumption amid an epoch, its metrics
    are those of the batches since then. No Lightning is imported.

    Args:
        metrics: by name; ``{"rate": Rate(), "active_units": ActiveUnits()}`` if not given.
        mu: the name of the posterior means.
        logvar: the name of the logarithms of the posterior variances.
        event_dims: how many of the last dimensions of the means are one Gaussian's coordinates.
        read: a function of the outputs instead, which returns the posteriors p, or ``(p, q)``.

    Raises:
        TypeError: for a metric that needs q, without ``read``.
        KeyError: in a step that returns no such entries.
    """

    def __init__(
        self,
        metrics: Metrics = None,
        *,
        mu: str = "mu",
        logvar: str = "logvar",
        event_dims: int = 1,
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        self._read = Reader(mu, logvar, event_dims, read)
        collection = collected(metrics, in_pairs=read is not None)
        self._stages = {stage: Stage(collection) for stage in _STAGES}

    @property
    def state_key(self) -> str:
        """The name of the callback, which Lightning wants to be unique."""
        return f"{type(self).__qualname__}[{id(self)}]"

    _legacy_state_key = state_key

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Start counting."""
        self._stages["train"].reset()

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Start counting."""
        self._stages["validation"].reset()

    def on_test_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Start counting."""
        self._stages["test"].reset()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *batch: Any) -> None:
        """Count a batch."""
        self._count("train", pl_module, outputs)

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *batch: Any) -> None:
        """Count a batch."""
        self._count("validation", pl_module, outputs)

    def on_test_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *batch: Any) -> None:
        """Count a batch."""
        self._count("test", pl_module, outputs)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Log."""
        self._log("train", trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Log."""
        self._log("validation", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Log."""
        self._log("test", trainer, pl_module)

    def _count(self, stage: str, pl_module: Any, outputs: Any) -> None:
        # Lightning passes an empty dictionary for a training step that returned nothing.
        if outputs is not None and not (isinstance(outputs, dict) and not outputs):
            self._stages[stage].update(self._read(outputs), pl_module.device)

    def _log(self, stage: str, trainer: Any, pl_module: Any) -> None:
        if stage != "train":
            _warn_of_repeated_rows(getattr(trainer, f"{_STAGES[stage]}_dataloaders", None))
        for name, value in self._stages[stage].values(pl_module.device).items():
            # Every process has the same value; without sync_dist Lightning would warn that it might not.
            pl_module.log(f"{_STAGES[stage]}/{name}", value, sync_dist=True)

    def __getattr__(self, name: str) -> Any:
        """The other hooks, which do nothing."""
        if name in ("setup", "teardown") or name.startswith("on_"):
            return _nothing
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _warn_of_repeated_rows(loaders: Any) -> None:
    """Warn of a sampler that repeats rows, so that all processes have as many."""
    for loader in loaders if isinstance(loaders, Sequence) else [loaders]:
        sampler = getattr(loader, "sampler", None)
        repeated = getattr(sampler, "total_size", 0) - len(getattr(sampler, "dataset", range(2**62)))
        if repeated > 0:
            warnings.warn(
                f"the DistributedSampler repeats {repeated} of {sampler.total_size} rows so that all processes have as "  # type: ignore[union-attr]
                "many, and the metrics count these twice: give the Trainer use_distributed_sampler=False and a sampler "
                "that repeats none, or one device.",
                UserWarning,
                stacklevel=3,
            )


def _nothing(*_: Any, **__: Any) -> None:
    pass
