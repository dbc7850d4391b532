"""A metric whose whole state is one record."""

import abc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from kullback.errors import ShapeError
from kullback.interop.calls import BUILD, constructor, shape_of, shapes_of
from kullback.interop.registry import as_gaussian, gaussians_for
from kullback.metrics import record
from kullback.metrics.record import Header
from kullback.numerics.meshes import is_distributed


class RecordMetric(Metric):
    """A metric whose whole state is one record, under a name of its own.

    A ``MetricCollection`` takes metrics for one whose states have the same names and, after the first batch, the same
    values. The name therefore says all that the state depends on.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    _in_pairs = False

    def __init__(self, name: str, merge: Callable[[Iterable[Tensor]], Tensor], **settings: Any) -> None:
        super().__init__(**settings)
        self._name = name
        self._merge = merge
        self._event: torch.Size | None = None
        self.add_state(name, record.empty(_home(self.device)), dist_reduce_fx=merge)

    @property
    def rows(self) -> int:
        """The number of rows that this process has counted."""
        return int(self._record[0, 0])

    @property
    def _record(self) -> Tensor:
        state: Tensor = getattr(self, self._name)
        return state

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Count a batch, and return the value over it alone."""
        # torchmetrics sets the rows before it aside: a batch that is refused is refused before that.
        self._check(*args, **kwargs)
        return super().forward(*args, **kwargs)

    def reset(self) -> None:
        """Forget all rows."""
        super().reset()
        self._event = None

    def _check(self, p: Any, *others: Any, **named: Any) -> torch.Size:
        """The event shape of posteriors.

        Raises:
            ShapeError: unless it is that of the rows before; and for a batch ``(N, d)`` of numbers.
            TypeError: for what is no Gaussian, or more arguments than there are.
        """
        others = (*others, *named.values())
        if others and not self._in_pairs:
            raise TypeError(_one_gaussian(type(self).__name__, p, others))
        batch, event = _shapes(p, others, f"{type(self).__name__}().update({{}})")
        if not event and len(batch) > 1:
            raise ShapeError(
                f"{type(self).__name__}: p is a batch {tuple(batch)} of single numbers, each of which would count as a "
                "row, and the value would be a mean over dimensions too. If the last dimension is that of the "
                "coordinates: Independent(Normal(mean, std), 1), or Gaussian.from_std(mean, std)."
            )
        if self._event not in (None, event):
            raise ShapeError(
                f"{type(self).__name__}: p has event shape {tuple(event)}, the rows before have "
                f"{tuple(self._event or ())}. Count them in another metric, or call reset() between."
            )
        return event

    def _add(self, batch: Tensor) -> None:
        """Count the rows of another record too."""
        setattr(self, self._name, self._merge([self._record, batch]))

    def _here(self, x: Tensor) -> Tensor:
        """A tensor in float64, where the state is; the device changes first, as MPS has no float64."""
        if is_distributed(x):
            raise TypeError(
                f"{type(self).__name__} counts the rows of this process, got a DTensor of shape {tuple(x.shape)}, "
                "which others may count too: pass to_local() where each row is whole, and on one process alone."
            )
        return x.detach().to(self._record.device).to(torch.float64)

    def compute(self) -> Tensor:
        """The value over all rows that were counted, by all processes."""
        with torch.no_grad():
            return self._value(self._record)

    @abc.abstractmethod
    def _value(self, x: Tensor) -> Tensor:
        """The value over the rows of a record."""

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """A figure, and its axes, of a value, or of a list of values over time; of :meth:`compute` if none is given."""
        if val is None:
            val = self.compute()
        several = isinstance(val, Sequence)
        flat = [x.flatten() if x.ndim > 1 else x for x in (val if several else [val])]
        return self._plot(flat if several else flat[0], ax)

    # What torchmetrics does with states of one fixed shape is done here with records, which have none before the first
    # row is counted: a process without rows, a first forward.

    def _sync_dist(self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any = None) -> None:
        setattr(self, self._name, self._merge(dist_sync_fn(self._record, group=process_group or self.process_group)))

    def _reduce_states(self, incoming_state: dict[str, Any]) -> None:
        if self._name not in incoming_state:
            raise ValueError(self._another_state(incoming_state))
        setattr(self, self._name, self._merge([self._here(incoming_state[self._name]), self._record]))
        self._computed = None
        self._update_count = max(1, self._update_count)

    def _another_state(self, names: Iterable[str]) -> str:
        return (
            f"{type(self).__name__} has the state {self._name!r}, got {', '.join(map(repr, names)) or 'none'}: load "
            "and merge states of one class with the same settings."
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        given = state_dict.get(prefix + self._name)
        others = [key[len(prefix) :] for key in state_dict if key.startswith(prefix)]
        if given is None and others:
            raise ValueError(self._another_state(others))
        super()._load_from_state_dict(state_dict, prefix, *args)
        if given is not None:
            setattr(self, self._name, given.to(_home(self.device)).to(torch.float64))
            self._computed = None
            self._update_count = max(self._update_count, int(bool(self.rows)))
            # Of a single number for each row, the event is not known.
            self._event = None if record.is_empty(self._record) else Header.of(self._record).event or None

    def _apply(  # type: ignore[override]
        self, fn: Callable[..., Any], exclude_state: Sequence[str] = (), *, recurse: bool = True
    ) -> "RecordMetric":
        # Only the device changes: a count in half precision would end at 2,048.
        super()._apply(fn, exclude_state=(self._name, *exclude_state))
        home = _home(self.device)
        self._defaults[self._name] = record.empty(home)
        x = self._record
        setattr(self, self._name, record.empty(home) if x.is_meta else x.to(home))
        return self

    def set_dtype(self, dst_type: Any) -> "RecordMetric":
        """Moments are of float64 alone.

        Raises:
            TypeError: for another dtype.
        """
        if dst_type not in (torch.float64, "torch.DoubleTensor"):
            raise TypeError(
                f"{type(self).__name__} counts in float64, got {dst_type}: convert the result of compute() instead."
            )
        return self


def _shapes(p: Any, others: Sequence[Any], call: str) -> tuple[torch.Size, torch.Size]:
    """The batch and the event shape of p, which may be a distribution that is no Gaussian, but has a divergence."""
    if not isinstance(p, torch.distributions.Distribution):
        p = gaussians_for("kl_divergence", p, others[0], call)[0] if others else as_gaussian(p, "p")
    return p.batch_shape, p.event_shape


def _one_gaussian(metric: str, p: Any, others: Sequence[Any]) -> str:
    """What an error says of further arguments beside the posteriors."""
    what = f"{metric}.update takes one Gaussian, got {shapes_of((p, *others))}."
    if shape_of(p) is None or shape_of(others[0]) is None:
        return f"{what} GaussianKL takes p and q."
    return f"{what} If they are a mean and a scale: {constructor(p, others[0], number=0)}, or the like: {BUILD}."


def _home(device: torch.device) -> torch.device:
    """Where a state lies: there, or on the CPU if there is no float64 there."""
    return torch.device("cpu") if device.type == "mps" else device
