"""How a divergence is computed, how well it is conditioned, and which common mistakes give another value."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.divergences.api import as_common_tensors, check_shapes
from kullback.divergences.kl import kl_divergence, kl_per_dimension
from kullback.errors import ShapeError
from kullback.explanation.mistakes import wrong_values
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.registry import as_gaussian
from kullback.numerics.arrays import ArrayKind, from_callers_type
from kullback.numerics.tensors import result_dtype
from kullback.pairs.dispatch import select_rule

# The largest number of explanations that are given for a value.
_MAX_EXPLANATIONS = 3


@dataclass(frozen=True)
class Explanation:
    """The result of :func:`explain`; print it."""

    divergence: float
    """KL(p‖q) in nats; the mean over a batch."""
    form: str
    """The form of the formula that is used for this pair."""
    condition: tuple[float, float]
    """The largest condition numbers of the correlation matrices of p and of q."""
    digits: float
    """The number of decimal digits of the divergence that are determined by inputs rounded to their dtype."""
    value: float | None
    """The value to be explained; the mean if there is one for each row."""
    mistakes: tuple[tuple[str, ...], ...]
    """The smallest combinations of mistakes that give this value; empty if it is correct or cannot be explained."""
    right: bool
    """Whether the value is the divergence."""

    def __str__(self) -> str:
        lines = [
            f"KL(p‖q): {self.divergence:.10g} nats",
            f"form: {self.form}",
            f"condition numbers: {self.condition[0]:.3g} (p), {self.condition[1]:.3g} (q)",
            f"digits that the inputs determine: {self.digits:.1f}",
        ]
        if self.value is not None:
            if self.right:
                lines.append(f"{self.value:.10g}: correct")
            for mistakes in self.mistakes:
                lines.append(f"{self.value:.10g}: {'; and '.join(mistakes)}")
            if not self.right and not self.mistakes:
                lines.append(f"{self.value:.10g}: not correct, and no common mistake gives it")
        return "\n".join(lines)


def explain(p: Any, q: Any, value: Any = None) -> Explanation:
    """Explain how KL(p‖q) is computed, how well it is conditioned, and which common mistakes give ``value``.

    Mistakes are tried alone and in combination: standard deviations taken for variances, log-variances taken for
    standard deviations, logarithms of standard deviations taken for log-variances, p and q swapped, the prior N(0, I)
    in the place of q, the log-determinant inverted or missing, the mean over coordinates instead of their sum, a
    missing −d or ½, a ½ too many, bits, the wrong sign, a forgotten event dimension, the VAE formula in bfloat16, and
    ``F.kl_div`` called on means or samples. The combinations with the fewest mistakes are reported.

    Args:
        p: the first Gaussian, as for :func:`kl_divergence`.
        q: the second Gaussian.
        value: the value to explain: of one pair, the mean or sum over a batch, or one for each row. It is compared to
            the precision with which it is written: 689.8 stands for every number that rounds to it.

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
    dtype = result_dtype([*p.tensors(), *q.tensors()])
    tensors = as_common_tensors(p.detach(), q.detach(), torch.float64)
    p, q = (g.with_array_kind(ArrayKind.TORCH) for g in tensors)
    rule = select_rule(p, q)
    truth = from_callers_type(kl_divergence(p, q))
    asked = None if value is None else torch.as_tensor(value, dtype=torch.float64, device="cpu")
    per_dimension = p.batch_shape + p.event_shape
    if asked is not None and asked.ndim and asked.shape not in (truth.shape, per_dimension):
        raise ShapeError(
            f"value has shape {tuple(asked.shape)}, the divergence has {tuple(truth.shape)}. Give one value for each "
            "row, or their mean or sum."
        )
    if asked is not None and not torch.isfinite(asked).all():
        raise ValueError(f"value must be a finite number, or one for each row, got {value!r}.")
    right, mistakes = (False, ()) if asked is None else _matches(p, q, truth, asked, value)
    return Explanation(
        divergence=float(truth.mean()),
        form=rule.description,
        condition=(_condition(p), _condition(q)),
        digits=_digits(p, q, torch.finfo(dtype).eps),
        value=None if asked is None else float(asked.mean()),
        mistakes=mistakes,
        right=right,
    )


def _condition(p: Gaussian) -> float:
    """The largest condition number over the batch of the correlation matrix.

    No scaling of the coordinates gives a covariance with a much smaller one (van der Sluis 1969).
    """
    if p.scale.is_diagonal:
        return 1.0
    factor = p.scale.factor_matrix(p.event_shape)
    singular = torch.linalg.svdvals(factor / torch.linalg.vector_norm(factor, dim=-1, keepdim=True))
    return float((singular[..., 0] / singular[..., -1]).square().max())


def _digits(p: Gaussian, q: Gaussian, eps: float) -> float:
    """The decimal digits of the divergence that inputs rounded to the precision ``eps`` determine.

    The gradient gives the largest change of the divergence, to first order, when every input changes by half a unit in
    the last place.
    """
    inputs = [x.clone().requires_grad_() for g in (p, q) for x in g.tensors()]
    leaves = iter(inputs)
    p, q = (Gaussian(next(leaves), g.scale.map(lambda x, _: next(leaves), g.event_dims), g.event_dims) for g in (p, q))
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
    """Whether the value is correct, and otherwise the smallest combinations of mistakes that give it."""
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
        parts = from_callers_type(kl_per_dimension(p, q))
        if asked.ndim == parts.ndim and fits(parts):
            event = len(p.event_shape)
            found.append((f"the event dimension is forgotten: Independent(Normal(mean, std), {event}) sums over it",))
    for wrong in wrong_values(p, q):
        if found and wrong.noise:
            # Results of sampling come last and are so noisy that they match almost any value.
            break
        if wrong.mistakes and torch.isfinite(wrong.value).all() and fits(wrong.value, wrong.noise):
            found.append(wrong.mistakes)
    fewest = min(map(len, found), default=0)
    return False, tuple(mistakes for mistakes in found if len(mistakes) == fewest)[:_MAX_EXPLANATIONS]


def _tolerance(asked: Tensor, given: Any) -> Tensor:
    """The larger of half a unit in the last decimal of the value as written, and a relative error of 1e-5."""
    rounding = 1e-5 * asked.abs()
    if isinstance(given, (int, float)):
        digits = repr(given).partition("e")[0].partition(".")[2] if "e" not in repr(given) else ""
        if digits:
            return torch.maximum(rounding, torch.tensor(0.501 * 10.0 ** -len(digits), dtype=torch.float64))
    return rounding
