"""A metric whose whole state is one record."""

import abc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from kullback.metrics import record
from kullback.numerics.meshes import is_distributed


class RecordMetric(Metric):
    """A metric whose whole state is one record, under a name of its own.

    A ``MetricCollection`` takes metrics for one whose states have the same names and, after the first batch, the same
    values. The name therefore says all that the state depends on.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, name: str, merge: Callable[[Iterable[Tensor]], Tensor], **settings: Any) -> None:
        super().__init__(**settings)
        self._name = name
        self._merge = merge
        self.add_state(name, record.empty(_home(self.device)), dist_reduce_fx=merge)

    @property
    def rows(self) -> int:
        """The number of rows that this process has counted."""
        return int(self._record[0, 0])

    @property
    def _record(self) -> Tensor:
        state: Tensor = getattr(self, self._name)
        return state

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
            raise ValueError(
                f"expected the state {self._name!r}, got {', '.join(map(repr, incoming_state)) or 'none'}: merge "
                "metrics of one class with the same settings."
            )
        setattr(self, self._name, self._merge([self._here(incoming_state[self._name]), self._record]))
        self._computed = None
        self._update_count = max(1, self._update_count)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        given = state_dict.get(prefix + self._name)
        super()._load_from_state_dict(state_dict, prefix, *args)
        if given is not None:
            setattr(self, self._name, given.to(_home(self.device)).to(torch.float64))
            self._computed = None
            self._update_count = max(self._update_count, int(bool(self.rows)))

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


def _home(device: torch.device) -> torch.device:
    """Where a state lies: there, or on the CPU if there is no float64 there."""
    return torch.device("cpu") if device.type == "mps" else device
