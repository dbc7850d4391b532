"""Some of all rows, as a record: those whose numbers hash to the smallest values.

The hash depends on the numbers of a row and a seed alone. The sample of all rows is therefore the same in whatever
order they come, and however they are divided into batches and processes; merging keeps the smallest of both.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian
from kullback.metrics import record
from kullback.metrics.record import Header

_DIAGONAL, _FULL = 1, 2


def of_gaussians(g: Gaussian, kept: int, seed: int) -> Tensor:
    """The record of a batch of Gaussians, in float64."""
    numbers = _numbers(g)
    if not len(numbers):
        return record.empty(numbers.device)
    lines = torch.cat([_order(numbers, seed)[:, None], numbers], 1)
    code = _DIAGONAL if g.scale.is_diagonal else _FULL
    return _smallest(record.write(len(lines), code, g.event_shape, lines), kept)


def merge(records: Iterable[Tensor], kept: int) -> Tensor:
    """The record of the rows of all, of which ``kept`` are in the sample."""
    records = list(records)
    filled = record.filled(records)
    if not filled:
        return records[0]
    head = filled[0][:1]
    for other in filled[1:]:
        head = record.merged_head(head, other)
    return _smallest(torch.cat([head, *[x[1:] for x in filled]]), kept)


def read(x: Tensor) -> tuple[int, Gaussian | None]:
    """How many rows a record has counted, and those in the sample; None if one of these is not finite."""
    header = Header.of(x)
    d = header.event.numel()
    mean, scale = x[1:, 1 : 1 + d], x[1:, 1 + d :]
    scale = scale[:, :d] if header.code == _DIAGONAL else scale[:, : d * d].reshape(-1, d, d)
    if not (mean.isfinite().all() and scale.isfinite().all()):
        return header.rows, None
    of = Gaussian.from_logvar if header.code == _DIAGONAL else Gaussian.from_scale_tril
    return header.rows, of(mean, scale, validate=False)


def _numbers(g: Gaussian) -> Tensor:
    """The mean and the scale of each row: logarithms of variances, or the factor of a covariance."""
    if g.scale.is_diagonal:
        return torch.cat([x.reshape(-1, g.event_size) for x in g.flat_parameters("logvar")], 1)
    if not g.scale.has_density:
        raise NoClosedForm(
            "a sample of posteriors needs Gaussians with a density, got singular ones, whose mutual information with "
            "inputs is infinite as soon as two differ."
        )
    d, batch = g.event_size, g.batch_shape
    mean, factor = g.mean.expand(*batch, d), g.scale.factor_matrix(g.event_shape).expand(*batch, d, d)
    return torch.cat([mean.reshape(-1, d), factor.reshape(-1, d * d)], 1)


def _smallest(x: Tensor, kept: int) -> Tensor:
    """A record with at most this many lines after the first, the smallest hashes, in ascending order."""
    return torch.cat([x[:1], x[1 + x[1:, 0].argsort(stable=True)[:kept]]])


def _order(numbers: Tensor, seed: int) -> Tensor:
    """A whole number below 2^53 for each row, from all of its bits; -1 if it is not finite, so that it is kept."""
    # Adding 0 makes -0 the same as 0.
    bits = (numbers + 0.0).contiguous().view(torch.int64)
    place = torch.arange(1, numbers.shape[1] + 1, device=numbers.device) * _signed(0x9E3779B97F4A7C15)
    mixed = _mixed(_mixed(bits + place).sum(1) + _signed((seed * 0xD1342543DE82EF95) % 2**64))
    order = _shifted(mixed, 11).to(torch.float64)
    return torch.where(numbers.isfinite().all(1), order, -1.0)


def _mixed(x: Tensor) -> Tensor:
    """The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), in arithmetic modulo 2^64."""
    x = (x ^ _shifted(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, n: int) -> Tensor:
    """Shifted to the right by n bits, with zeros coming in."""
    shifted: Tensor = (x >> n) & (2 ** (64 - n) - 1)
    return shifted


def _signed(x: int) -> int:
    return x - 2**64 if x >= 2**63 else x
