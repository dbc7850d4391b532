"""How a divergence is computed, how well it is conditioned, and which common mistakes give another value."""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import torch

from kullback.divergences.api import as_common_tensors, check_shapes
from kullback.divergences.kl import kl_divergence, kl_per_dimension
from kullback.errors import ShapeError
from kullback.explanation.search import Asked, Verdict, search
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Isotropic
from kullback.gaussians.scales.factor import Factor
from kullback.gaussians.scales.matrix import row_lengths
from kullback.interop.registry import gaussians_for
from kullback.numerics.arrays import ArrayKind, from_callers_type
from kullback.numerics.tensors import result_dtype
from kullback.pairs.base import have_densities
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
    """The largest condition numbers of the correlation matrices of p and of q; infinite if one is singular."""
    digits: float
    """The number of decimal digits of the divergence that inputs rounded to their dtype determine; 0 of infinity."""
    value: float | None
    """The value to be explained; the mean if there is one for each row."""
    mistakes: tuple[tuple[str, ...], ...]
    """The smallest combinations of mistakes that give this value; empty if it is correct or cannot be explained."""
    right: bool
    """Whether the value is the divergence."""
    perhaps: tuple[tuple[str, ...], ...] = ()
    """Combinations that give the value, too, but might by chance, because it is written with so few digits."""
    chance: float = 0.0
    """The share of numbers of this size that several mistakes would explain, where its digits do not tell."""

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
            for mistakes in self.perhaps:
                lines.append(f"{self.value:.10g}: perhaps {'; and '.join(mistakes)}")
            if self.perhaps:
                lines.append(
                    f"  ({len(self.perhaps[0])} mistakes give one number in {1.0 / self.chance:.0f} to so few digits: "
                    "pass more of them, as .item() has them)"
                )
            elif self.chance:
                lines.append(f"{self.value:.10g}: not correct; of several mistakes at once, so few digits do not tell")
            elif not (self.right or self.mistakes):
                lines.append(f"{self.value:.10g}: not correct, and no common mistake gives it")
        return "\n".join(lines)


def explain(p: Any, q: Any, value: Any = None) -> Explanation:
    """Explain how KL(p‖q) is computed, how well it is conditioned, and which common mistakes give ``value``.

    The mistakes, each with its place in the formula: scales taken for another parameterization (standard deviations,
    variances, logarithms of either, Cholesky factors, precisions), of p, of q or of both; p and q swapped, or the prior
    N(0, I) in the place of q; terms of the closed form that are missing, inverted, not squared, or have a ½ too few or
    too many; misplaced parentheses; an epsilon that is added to a logarithm, a denominator or a scale; the sign; bits;
    and means over coordinates, over everything or over one dimension where sums belong. Beside these: another
    divergence, a forgotten event dimension, the VAE formula in bfloat16, and ``F.kl_div`` called on means or samples.
    If a covariance is singular, only other divergences are looked for.

    The fewest mistakes are reported, up to three at once (two for more than a million coordinates). There are so many
    combinations that some lies near any number. So one counts only if fewer than 3 numbers in 1,000 of its size would
    be explained by as many mistakes; of a value with too few digits for that the result says "perhaps".

    Args:
        p: the first Gaussian, as for :func:`kl_divergence`.
        q: the second Gaussian.
        value: the value to explain: of one pair, the mean or sum over a batch, or one for each row. It is compared to
            the precision with which it is written, at most 1e-5: 689.8 stands for every number that rounds to it. As a
            text, ``"689.80"``, its final zeros count.

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
    p, q = gaussians_for("kl_divergence", p, q, "explain({})")
    check_shapes(p, q)
    dtype = result_dtype([*p.tensors(), *q.tensors()])
    to_prior = isinstance(q.scale, Isotropic) and q.scale.to("variance").number == 1.0
    # Whether two supports are one depends on the precision that they are given in.
    tensors = as_common_tensors(p.detach(), q.detach(), torch.float64 if have_densities(p, q) else None)
    p, q = (g.with_array_kind(ArrayKind.TORCH) for g in tensors)
    rule = select_rule(p, q)
    truth = from_callers_type(kl_divergence(p, q))
    asked = None if value is None else _asked(value)
    verdict, right = Verdict(), False
    if asked is not None:
        shapes = ((), truth.shape, p.batch_shape + p.event_shape)
        if asked.value.shape not in shapes:
            raise ShapeError(
                f"value has shape {tuple(asked.value.shape)}, the divergence has {tuple(truth.shape)}. Give one value "
                "for each row, or their mean or sum."
            )
        if not torch.isfinite(asked.value).all():
            raise ValueError(f"value must be a finite number, or one for each row, got {value!r}.")
        right = asked.fits(truth)
        if not right and _forgets_event(p, q, asked):
            event = len(p.event_shape)
            forgotten = f"the event dimension is forgotten: Independent(Normal(mean, std), {event}) sums over it"
            verdict = Verdict(((forgotten,),))
        elif not right and asked.value.shape in ((), truth.shape):
            verdict = search(p, q, asked, to_prior=to_prior)
    return Explanation(
        divergence=float(truth.mean()),
        form=rule.description,
        condition=(_condition(p), _condition(q)),
        digits=_digits(p, q, torch.finfo(dtype).eps),
        value=None if asked is None else float(asked.value.mean()),
        mistakes=verdict.mistakes[:_MAX_EXPLANATIONS],
        right=right,
        perhaps=verdict.perhaps[:_MAX_EXPLANATIONS],
        chance=verdict.chance,
    )


def _condition(p: Gaussian) -> float:
    """The largest condition number over the batch of the correlation matrix.

    No scaling of the coordinates gives a covariance with a much smaller one (van der Sluis 1969).
    """
    if p.scale.is_diagonal:
        return 1.0
    factor = p.scale.root(p.event_shape)
    # A coordinate without variance has a row of zeros.
    rows = factor / torch.where(factor.any(-1), row_lengths(factor), 1.0).unsqueeze(-1)
    values = torch.linalg.svdvals(rows)
    if isinstance(p.scale, Factor) and bool(p.scale.half_log_det(p.event_shape).isneginf().any()):
        return math.inf
    return float((values[..., 0] / values[..., -1]).square().max())


def _digits(p: Gaussian, q: Gaussian, eps: float) -> float:
    """The decimal digits of the divergence that inputs rounded to the precision ``eps`` determine.

    The gradient gives the largest change of the divergence, to first order, when every input changes by half a unit in
    the last place.
    """
    inputs = [x.clone().requires_grad_() for g in (p, q) for x in g.tensors()]
    leaves = iter(inputs)
    p, q = (Gaussian(next(leaves), g.scale.map(lambda x, _: next(leaves), g.event_dims), g.event_dims) for g in (p, q))
    total = kl_divergence(p, q).sum()
    if not torch.isfinite(total):
        return 0.0
    if not total.requires_grad:
        return -math.log10(eps / 2)
    gradients = torch.autograd.grad(total, inputs)
    change = sum(float((g * x).detach().abs().sum()) for g, x in zip(gradients, inputs, strict=True)) * eps / 2
    value = float(total.detach())
    if not change:
        return -math.log10(eps / 2)
    return max(0.0, -math.log10(max(change / value, eps / 2))) if value else 0.0


def _asked(value: Any) -> Asked:
    """A value, and to what precision it is meant: as it is written, and to a relative error of 1e-5."""
    try:
        asked = torch.as_tensor(float(value) if isinstance(value, str) else value, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"value must be a number, or one for each row, got {value!r}.") from None
    decimals = _decimals(value if isinstance(value, str) else repr(float(value))) if _is_written(value) else 0
    rounding = 0.501 * 10.0**-decimals if decimals else 0.0
    return Asked(asked, (1e-5 * asked.abs()).clamp(min=rounding), rounding)


def _is_written(value: Any) -> bool:
    return isinstance(value, str | float) and math.isfinite(float(value))


def _decimals(text: str) -> int:
    """The number of decimals with which a number is written."""
    exponent = Decimal(text.strip()).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _forgets_event(p: Gaussian, q: Gaussian, asked: Asked) -> bool:
    """Whether the value is that of each coordinate."""
    if not (p.scale.is_diagonal and q.scale.is_diagonal and p.event_shape):
        return False
    parts = from_callers_type(kl_per_dimension(p, q))
    return asked.value.ndim == parts.ndim and asked.fits(parts)
