"""A callback of the ``Trainer`` of Hugging Face's transformers."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from kullback.metrics.reading import Metrics, Reader, Stage, collected

_RUNTIME = "_runtime"


class TransformersCallback:
    """Adds metrics of posteriors to the logs of a ``Trainer``: ``Trainer(…, callbacks=[TransformersCallback()])``.

    A callback of that trainer is not told what the model returns, so that this one listens to the model: every forward
    in training mode is counted as training, the last before the end of a step of prediction as evaluation. The rows
    that an evaluation by several processes repeats, so that their batches are even, are left out. The model returns a
    mapping, a ``ModelOutput`` for example, with the entries ``mu`` and ``logvar``, or what ``read`` understands.

    The metrics of training, over all rows of all processes since the last log, stand beside ``loss``; those of an
    evaluation beside ``eval_loss``, as ``eval_rate``, also in what ``evaluate()`` and ``predict()`` return. They stand
    in ``trainer.state.log_history`` too.

    The trainer calls its reporters first. To have the metrics reported, move a reporter to the end:
    ``trainer.add_callback(trainer.pop_callback(TensorBoardCallback))``. No transformers is imported.

    Args:
        metrics: by name; ``{"rate": Rate(), "active_units": ActiveUnits()}`` if not given. Of a metric of several
            numbers each is logged, as ``per_dimension_0``.
        mu: the name of the posterior means.
        logvar: the name of the logarithms of the posterior variances.
        event_dims: how many of the last dimensions of the means are one Gaussian's coordinates.
        read: a function of the outputs instead, which returns the posteriors p, or ``(p, q)``.

    Raises:
        TypeError: for a metric that needs q, without ``read``.
        KeyError: in a forward that returns no such entries.
        RuntimeError: under ``DataParallel``, whose replicas count at once: start a process for each device.
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
        self._training, self._evaluation = Stage(collection), Stage(collection)
        self._model: Any = None
        self._hook: Any = None
        self._outputs: Any = None
        self._logged: dict[str, float] = {}

    def on_init_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Listen to the model."""
        self._listen(model)

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Listen to the model, and start counting."""
        self._listen(model)
        self._training.reset()
        self._evaluation.reset()

    def on_prediction_step(self, args: Any, state: Any, control: Any, eval_dataloader: Any = None, **_: Any) -> None:
        """Count a batch of an evaluation, without the rows that fill up the last one."""
        outputs, self._outputs = self._outputs, None
        if outputs is not None:
            kept = _rows_that_are_not_repeated(args, eval_dataloader)
            self._evaluation.update(
                self._read(outputs if kept is None else _first(outputs, kept)), _device(self._model)
            )

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Add the metrics of training, or of an evaluation, to the logs."""
        if "loss" in logs:
            added = self._values(self._training, "")
        else:
            added = self._logged = self._of_evaluation(logs)
        logs.update(added)
        # The trainer has put a copy of the logs there already.
        if added and state.log_history:
            state.log_history[-1].update(added)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        """Add the metrics of an evaluation to what it returns."""
        metrics.update(self._logged or self._of_evaluation(metrics))
        self._logged = {}

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        """Add the metrics of a prediction, which the trainer does not log."""
        metrics.update(self._of_evaluation(metrics))

    def _of_evaluation(self, logs: Mapping[str, Any]) -> dict[str, float]:
        """The metrics of an evaluation; none for logs of something else.

        Names decide, on all processes alike, and not whether this one has counted rows.
        """
        prefix = next((name.removesuffix(_RUNTIME) for name in logs if name.endswith(_RUNTIME)), "train")
        return {} if prefix == "train" else self._values(self._evaluation, f"{prefix}_")

    def _values(self, stage: Stage, prefix: str) -> dict[str, float]:
        values = stage.values(_device(self._model))
        return {f"{prefix}{name}": float(value) for name, value in values.items()}

    def _listen(self, model: Any) -> None:
        if model is None or model is self._model:
            return
        if self._hook is not None:
            self._hook.remove()
        self._model, self._hook = model, model.register_forward_hook(self._heard)

    def _heard(self, model: Any, inputs: Any, outputs: Any) -> None:
        if getattr(model, "_is_replica", False):
            raise RuntimeError(
                "TransformersCallback cannot count under DataParallel, whose replicas run at once: start a process for "
                "each device with torchrun, or make one device visible."
            )
        if model.training:
            self._training.update(self._read(outputs), _device(model))
        else:
            self._outputs = outputs

    def __getattr__(self, name: str) -> Any:
        """The other events, which do nothing."""
        if name.startswith("on_"):
            return _nothing
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _rows_that_are_not_repeated(args: Any, loader: Any) -> int | None:
    """How many rows of the batch of this process are not there to make the batches of all processes even.

    None if all are. The loader of accelerate says how many rows of the last batch, that of all processes, are real.
    """
    world = getattr(args, "world_size", 1)
    real = getattr(loader, "remainder", -1)
    if world == 1 or real <= 0 or not getattr(loader, "end_of_dataloader", False):
        return None
    own = int(loader.total_batch_size) // world
    return min(max(int(real) - int(args.process_index) * own, 0), own)


def _first(outputs: Any, n: int) -> Any:
    """The first rows of what a model returns."""
    if isinstance(outputs, torch.Tensor):
        return outputs[:n] if outputs.ndim else outputs
    if isinstance(outputs, Mapping):
        return type(outputs)(**{name: _first(x, n) for name, x in outputs.items()})
    if type(outputs) in (tuple, list):
        return type(outputs)(_first(x, n) for x in outputs)
    raise TypeError(
        f"the last batch of the evaluation repeats rows, to be as long as that of other processes, and a "
        f"{type(outputs).__name__} cannot be shortened: return a mapping of tensors, or evaluate in one process."
    )


def _device(model: Any) -> torch.device:
    return next((x.device for x in model.parameters()), torch.device("cpu"))


def _nothing(*_: Any, **__: Any) -> None:
    pass
