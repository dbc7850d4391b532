"""What stands behind a divergence: the form it was computed in, its conditioning, and how others get it wrong."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.divergences.api import as_common_tensors, check_shapes
from kullback.divergences.kl import kl_divergence, kl_per_dimension
from kullback.errors import ShapeError
from kullback.explanation.mistakes import wrong_numbers
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.stack import factor_of
from kullback.interop.registry import as_gaussian
from kullback.numerics.arrays import ArrayKind
from kullback.pairs.dispatch import select_rule

# At most this many explanations of a value are given.
_MOST = 3


@dataclass(frozen=True)
class Explanation:
    """What :func:`explain` found; print it."""

    divergence: float
    """KL(p‖q) in nats; of a batch, the mean."""
    form: str
    """Which form of the formula the pair is computed in."""
    condition: tuple[float, float]
    """The largest condition number of p's and q's covariance, after each coordinate is brought to variance 1."""
    digits: float
    """Decimal digits of the divergence that rounding the inputs to their dtype leaves."""
    value: float | None
    """The number asked about."""
    mistakes: tuple[tuple[str, ...], ...]
    """The combinations of mistakes that give this number, the simplest ones; empty if it is right, or unknown."""
    right: bool
    """Is the value asked about the divergence?"""

    def __str__(self) -> str:
        lines = [
            f"KL(p‖q): {self.divergence:.10g} nats",
            f"form: {self.form}",
            f"condition numbers: {self.condition[0]:.3g} (p), {self.condition[1]:.3g} (q)",
            f"digits that the inputs determine: {self.digits:.1f}",
        ]
        if self.value is not None:
            if self.right:
                lines.append(f"{self.value:.10g}: is right")
            for mistakes in self.mistakes:
                lines.append(f"{self.value:.10g}: {'; and '.join(mistakes)}")
            if not self.right and not self.mistakes:
                lines.append(f"{self.value:.10g}: is not right, and no common mistake gives it")
        return "\n".join(lines)


def explain(p: Any, q: Any, value: Any = None) -> Explanation:
    """How KL(p‖q) is computed here and how well it is determined; and which common mistake gives ``value``.

    Mistakes are tried alone and together: std taken for variance, log-variance for std, p and q swapped, the
    log-determinant the wrong way round or missing, mean for sum over the coordinates, a missing −d or ½, an event
    dimension forgotten, the VAE line in bfloat16, ``F.kl_div`` on means or samples, softmaxed or not. The combinations
    with the fewest mistakes are told.

    Args:
        p: as for :func:`kl_divergence`.
        q: the same.
        value: a number that somebody else got, for one pair or as mean or sum over a batch; or one for each row. It is
            compared as closely as it is written: 689.8 is any number that rounds to it.

    Returns:
        An :class:`Explanation`.

    Raises:
        ShapeError: as :func:`kl_divergence`, or if ``value`` has another shape than the batch.
        ValueError: if ``value`` is NaN or infinite.

    Example:
        >>> from kullback import Gaussian, explain
        >>> p = Gaussian.from_std([0.0, 1.0], [1.0, 0.5])
        >>> q = Gaussian.from_std([1.0, 1.0], [2.0, 1.0])
        >>> print(explain(p, q, value=0.4431))
        KL(p‖q): 0.7612943611 nats
        form: per axis, from the ratio of the scales
        condition numbers: 1 (p), 1 (q)
        digits that the inputs determine: 15.4
        0.4431: the standard deviations are taken for variances
    """
    p, q = as_gaussian(p, "p"), as_gaussian(q, "q")
    check_shapes(p, q)
    dtype = torch.promote_types(p.dtype, q.dtype) if p.tensors() and q.tensors() else (p if p.tensors() else q).dtype
    tensors = as_common_tensors(p.detach(), q.detach(), torch.float64)
    p, q = (g.with_array_kind(ArrayKind.TORCH) for g in tensors)
    rule = select_rule(p, q)
    truth = torch.as_tensor(kl_divergence(p, q))
    asked = None if value is None else torch.as_tensor(value, dtype=torch.float64)
    per_dimension = p.batch_shape + p.event_shape
    if asked is not None and asked.ndim and asked.shape not in (truth.shape, per_dimension):
        raise ShapeError(f"value has shape {tuple(asked.shape)}, the divergence has {tuple(truth.shape)}.")
    if asked is not None and not torch.isfinite(asked).all():
        raise ValueError(f"value is a finite number, or one for each row, got {value!r}.")
    right, found = (False, ()) if asked is None else _matches(p, q, truth, asked, value)
    return Explanation(
        divergence=float(truth.mean()),
        form=rule.description,
        condition=(_condition(p), _condition(q)),
        digits=_digits(p, q, torch.finfo(dtype).eps),
        value=None if asked is None else float(asked.mean()),
        mistakes=found,
        right=right,
    )


def _condition(p: Gaussian) -> float:
    """Of the correlation matrix, which no scaling of the coordinates improves much."""
    if p.scale.is_diagonal:
        return 1.0
    factor = factor_of(p.scale, p.event_shape)
    singular = torch.linalg.svdvals(factor / torch.linalg.vector_norm(factor, dim=-1, keepdim=True))
    return float((singular[..., 0] / singular[..., -1]).square().max())


def _digits(p: Gaussian, q: Gaussian, eps: float) -> float:
    """From the derivatives: what half a unit in the last place of every input does to the divergence, at worst."""
    inputs = [x.clone().requires_grad_() for g in (p, q) for x in g.tensors()]
    fresh = iter(inputs)
    p, q = (Gaussian(next(fresh), g.scale.map(lambda x, _: next(fresh), g.event_dims), g.event_dims) for g in (p, q))
    total = kl_divergence(p, q).sum()
    gradients = torch.autograd.grad(total, inputs)
    change = sum(float((g * x).detach().abs().sum()) for g, x in zip(gradients, inputs, strict=True)) * eps / 2
    value = float(total.detach())
    if not change:
        return -math.log10(eps / 2)
    return max(0.0, -math.log10(max(change / value, eps / 2))) if value else 0.0


def _matches(
    p: Gaussian, q: Gaussian, truth: Tensor, asked: Tensor, given: Any
) -> tuple[bool, tuple[tuple[str, ...], ...]]:
    tolerance = _tolerance(asked, given)

    def fits(rows: Tensor, noise: float = 0.0) -> bool:
        candidates = [rows] if asked.ndim or not rows.ndim else [rows.mean(), rows.sum()]
        return any(
            x.shape == asked.shape and bool(((x - asked).abs() <= tolerance + 4.0 * noise).all()) for x in candidates
        )

    if fits(truth):
        return True, ()
    found: list[tuple[str, ...]] = []
    if p.scale.is_diagonal and q.scale.is_diagonal and p.event_shape:
        parts = torch.as_tensor(kl_per_dimension(p, q))
        if asked.ndim == parts.ndim and fits(parts):
            event = len(p.event_shape)
            found.append((f"the event dimension is forgotten: Independent(Normal(mean, std), {event}) sums over it",))
    for wrong in wrong_numbers(p, q):
        if found and wrong.noise:
            break  # almost anything is within the noise of samples
        if wrong.mistakes and torch.isfinite(wrong.value).all() and fits(wrong.value, wrong.noise):
            found.append(wrong.mistakes)
    fewest = min(map(len, found), default=0)
    return False, tuple(mistakes for mistakes in found if len(mistakes) == fewest)[:_MOST]


def _tolerance(asked: Tensor, given: Any) -> Tensor:
    """Half a unit of the last digit written, or the rounding of float32."""
    rounding = 1e-5 * asked.abs()
    if isinstance(given, (int, float)):
        digits = repr(given).partition("e")[0].partition(".")[2] if "e" not in repr(given) else ""
        if digits:
            return torch.maximum(rounding, torch.tensor(0.501 * 10.0 ** -len(digits), dtype=torch.float64))
    return rounding
