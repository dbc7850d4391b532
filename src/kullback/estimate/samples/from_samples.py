"""Estimates where p, q or both are samples: checks the input, calls the method, and adds the warnings."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kullback.estimate.averaging import IMPOSSIBLE, Settings
from kullback.estimate.densities import Density, Foreign, as_density, describe, draw, event_shape_of, log_density
from kullback.estimate.monte_carlo import NORMAL_QUANTILE
from kullback.estimate.result import Estimate
from kullback.estimate.samples.chains import thinned
from kullback.estimate.samples.checks import check_samples
from kullback.estimate.samples.inference_data import as_arrays
from kullback.estimate.samples.methods import DEFAULT, METHODS, Method
from kullback.estimate.samples.reading import Samples, as_samples, is_samples
from kullback.estimate.samples.recognition import refuse_counts, refuse_paired_log_probabilities
from kullback.estimate.samples.result import SampleEstimate, Step
from kullback.estimate.samples.supports import beyond_support
from kullback.estimate.samples.whitening import whitened
from kullback.numerics.arrays import common_array_kind, to_callers_type
from kullback.numerics.gradients import any_requires_grad
from kullback.numerics.guard import in_function_transform
from kullback.numerics.labels import check_order

# Called with the number of searches for neighbours that are done, and None: their total is not known beforehand.
Progress = Callable[[int, int | None], None]

# A density that meets samples is drawn from as many times as there are samples, within these limits.
_FEWEST_DRAWS, _MOST_DRAWS = 5_000, 20_000


@dataclass(frozen=True)
class _Request:
    """What the caller asked for: the method by its name, and what it is called with."""

    settings: Settings
    name: str
    generator: torch.Generator
    step: Step

    @classmethod
    def of(cls, settings: Settings, name: str, progress: Progress | None) -> "_Request":
        """Raises a ValueError for an unknown method, and for one that cannot be called here."""
        name = DEFAULT if name == "auto" else name
        if name not in METHODS:
            raise ValueError(f"method is one of auto, {', '.join(METHODS)} for samples, got {name!r}.")
        if in_function_transform() and METHODS[name].by_distances:
            raise ValueError(
                f"method {name!r} searches for neighbours, which is not possible inside a transform of torch.func. "
                'Call it outside, or take method="gaussian".'
            )
        settings, generator = _seeded(settings)
        return cls(settings, name, generator, _step(progress))

    @property
    def method(self) -> Method:
        """The functions of the method."""
        return METHODS[self.name]

    @property
    def spreading(self) -> torch.Generator | None:
        """The generator of numbers that spread rounded values; None if the method does without distances."""
        return self.generator if self.method.by_distances else None

    def check_gradients(self, *samples: Samples) -> None:
        """Refuse samples that require gradients which the method does not have."""
        requires_grad = any(s.rows.requires_grad for s in samples) and not self.method.differentiable
        _refuse_gradients(f"method {self.name!r}", requires_grad=requires_grad)


def from_samples(p: Any, q: Any, settings: Settings, name: str, progress: Progress | None = None) -> Estimate:
    """The estimate of D(p ‖ q) where p, q or both are samples.

    Args:
        p: samples or a density.
        q: samples or a density.
        settings: what the caller asked for.
        name: the name of a method, or ``"auto"``.
        progress: called after each search for neighbours.

    Raises:
        ValueError: for an unknown method, for ``n`` where p is samples, for parameters or samples that require
            gradients which the method does not have, and for samples that cannot be used.
        ShapeError: if samples are not rows, or their coordinates do not match.
        NotPositiveDefinite: if a coordinate is a linear function of others.
    """
    request = _Request.of(settings, name, progress)
    if is_samples(p):
        _refuse_n(settings)
    (p, event_p), (q, event_q), warnings = as_arrays(p, q)
    if not is_samples(q):
        return _against_density(p, event_p, as_density(q, "q", drawn=False), request, warnings)
    if is_samples(p):
        x, y = as_samples(p, "p", event_p), as_samples(q, "q", event_q)
        check_order(p, q, "p", "q")
    else:
        density = as_density(p, "p")
        event = event_shape_of(density, "p")
        y = as_samples(q, "q", event_q if event is None else event)
        n = settings.n or min(max(len(y), _FEWEST_DRAWS), _MOST_DRAWS)
        _refuse_gradients(f"draws of {describe(density)}", requires_grad=_requires_grad(density))
        x = as_samples(draw(density, n, request.settings.seed), "p", event)
    refuse_counts(x.rows.detach(), y.rows.detach())
    refuse_paired_log_probabilities(x.values.detach(), y.values.detach(), x.array_kind)
    x, y, said = check_samples(thinned(x), thinned(y), request.spreading)  # type: ignore[assignment]
    request.check_gradients(x, y)
    rows_x, rows_y, _ = whitened(x, y)
    assert rows_y is not None
    estimate = request.method.of_samples(rows_x, rows_y, request.generator, request.step)
    beyond, edge = beyond_support(x, y)
    return _to_estimate(estimate, [x, y], request, [*warnings, *said, request.method.caveat, *beyond], endless=edge)


def entropy_of_samples(p: Any, settings: Settings) -> Estimate:
    """The estimate of the entropy of the density that samples were drawn from: minus the divergence from the density 1.

    Raises:
        ValueError: for ``n``, for samples that require gradients, and for samples that cannot be used.
        ShapeError: if samples are not rows.
        NotPositiveDefinite: if a coordinate is a linear function of others.
    """
    _refuse_n(settings)
    request = _Request.of(settings, DEFAULT, None)
    (p, event), _, warnings = as_arrays(p)
    x, _, said = check_samples(thinned(as_samples(p, "p", event)), None, request.spreading)
    _refuse_gradients("an entropy of samples", requires_grad=x.rows.requires_grad)
    rows, _, log_det = whitened(x, None)
    estimate = request.method.against_density(rows, log_det.expand(len(rows)), request.generator, request.step)
    estimate = replace(estimate, value=-estimate.value)
    return _to_estimate(estimate, [x], request, [*warnings, *said], never_negative=False)


def _seeded(settings: Settings) -> tuple[Settings, torch.Generator]:
    """Settings and a generator that are independent of samples that were drawn with the seed of the caller."""
    generator = torch.Generator()
    if settings.seed is None:
        generator.seed()
        return settings, generator
    seed = (settings.seed * 0x9E3779B97F4A7C15 + 1) % 2**63
    return replace(settings, seed=seed), generator.manual_seed(seed)


def _refuse_n(settings: Settings) -> None:
    if settings.n is not None:
        raise ValueError(
            "n is the number of points that are drawn from a density p; samples have as many rows as they have. "
            "Leave n out."
        )


def _against_density(
    p: Any, event_p: torch.Size | None, q: Density, request: _Request, warnings: list[str]
) -> Estimate:
    """The estimate where p is samples and q a density."""
    event = event_shape_of(q, "q")
    x = thinned(as_samples(p, "p", event_p if event is None else event))
    log_q = log_density(q, x.values).reshape(-1)
    if len(log_q) != len(x):
        raise ValueError(
            f"the log-density of {describe(q)} gave {len(log_q)} numbers for {len(x)} rows: log_prob(x) must return "
            "one for each row."
        )
    x, _, said = check_samples(x, None, request.spreading)
    warnings = [*warnings, *said]
    request.check_gradients(x)
    if bool(torch.isinf(log_q).any()):
        infinite, zero = (torch.tensor(v, dtype=torch.float64) for v in (math.inf, 0.0))
        warnings.append("q is 0 at samples of p, where the divergence is infinite")
        return _to_estimate(SampleEstimate(infinite, zero, math.inf, 0.0), [x], request, warnings)
    rows, _, log_det = whitened(x, None)
    estimate = request.method.against_density(rows, log_q + log_det, request.generator, request.step)
    return _to_estimate(estimate, [x], request, [*warnings, request.method.caveat])


def _step(progress: Progress | None) -> Step:
    """The callback of a method that calls ``progress`` with the number of steps so far."""
    counter = itertools.count(1)
    return (lambda: progress(next(counter), None)) if progress else (lambda: None)


def _requires_grad(density: Density) -> bool:
    """Whether gradients are recorded and the log-density has any."""
    tensors = [log_density(density, density.draw(1))] if isinstance(density, Foreign) else density.tensors()
    return any_requires_grad(*tensors)


def _refuse_gradients(what: str, *, requires_grad: bool) -> None:
    if requires_grad and torch.is_grad_enabled():
        raise ValueError(
            f"{what} cannot carry gradients that are those of the divergence. Detach what requires them; to samples "
            'they flow with method="gaussian".'
        )


def _to_estimate(
    sample_estimate: SampleEstimate,
    samples: list[Samples],
    request: _Request,
    warnings: Sequence[str | None],
    *,
    never_negative: bool = True,
    endless: bool = False,
) -> Estimate:
    """The result for the caller: intervals, warnings, dtype and kind of array.

    A quantity that is never negative is a divergence, which samples can show up to a limit. The band of an endless one
    has no upper end.
    """
    from scipy.special import stdtrit

    dtype = torch.float64 if any(s.dtype == torch.float64 for s in samples) else torch.float32
    value = sample_estimate.value
    # Where samples of both depend on what came before, the larger inflation is taken for both.
    error = (sample_estimate.variance * max(s.inflation for s in samples)).sqrt()
    degrees_of_freedom = sample_estimate.degrees_of_freedom
    quantile = NORMAL_QUANTILE if math.isinf(degrees_of_freedom) else float(stdtrit(degrees_of_freedom, 0.975))
    sentences = [*(x for x in warnings if x is not None), *sample_estimate.warnings]
    number, limit = float(value.detach()), math.log(min(len(s) for s in samples))
    if never_negative and limit < number < math.inf:
        sentences.append(
            f"{number:.3g} nats are more than log n = {limit:.3g}, the most that so many samples can show without an "
            "assumption: the estimate rests on the samples being close to Gaussian"
        )
    if never_negative and number < -IMPOSSIBLE * float(error):
        sentences.append(
            f"the estimate is below 0 by more than {IMPOSSIBLE:g} standard errors, which is impossible for a divergence"
        )
    tolerance = request.settings.tolerance
    if tolerance is not None and not float(error) <= tolerance:
        sentences.append(
            f"the standard error is {float(error):.3g}, above the tolerance {tolerance:g}; more samples would reduce it"
        )
    kind = common_array_kind(s.array_kind for s in samples)

    def converted(x: Tensor) -> Any:
        return to_callers_type(x.to(dtype), kind)

    centre, half_interval = value.detach(), quantile * error
    half_band = half_interval + sample_estimate.bias_allowance
    interval, band = ((converted(centre - half), converted(centre + half)) for half in (half_interval, half_band))
    if endless:
        band = (band[0], converted(torch.full_like(centre, math.inf)))
    n = sum(map(len, samples))
    return Estimate(converted(value), converted(error), interval, band, n, request.name, tuple(sentences))
