"""From what the caller has, samples on one side or on both, to an estimate with its error and what must be said."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kullback.estimate.averaging import IMPOSSIBLE, Settings
from kullback.estimate.densities import Density, Foreign, as_density, described, drawn, event_of, log_density
from kullback.estimate.result import Estimate
from kullback.estimate.samplers import NORMAL_QUANTILE
from kullback.estimate.samples.methods import DEFAULT, METHODS, Method
from kullback.estimate.samples.reading import Samples, as_samples, comparable, is_samples, whitened
from kullback.estimate.samples.result import SampleEstimate, Step
from kullback.numerics.arrays import common_array_kind, to_callers_type

# Called with the number of searches of neighbours that are done; of how many is not known.
Progress = Callable[[int, int | None], None]

# Rows that are drawn of a density that meets samples: as many as these, within limits.
_DRAWN = (5_000, 20_000)


def from_samples(p: Any, q: Any, settings: Settings, name: str, progress: Progress | None = None) -> Estimate:
    """The estimate where p, q or both are samples."""
    name = DEFAULT if name == "auto" else name
    if name not in METHODS:
        raise ValueError(f"method is one of auto, {', '.join(METHODS)} for samples, got {name!r}.")
    method = METHODS[name]
    generator = torch.Generator()
    if settings.seed is None:
        generator.seed()
    else:
        # Samples drawn with the same number as seed, which is common, must not be what they are calibrated with.
        seed = (settings.seed * 0x9E3779B97F4A7C15 + 1) % 2**63
        settings = replace(settings, seed=seed)
        generator.manual_seed(seed)
    if is_samples(p) and settings.n is not None:
        raise ValueError("n is how many points are drawn of a density; samples have as many rows as they have.")
    if not is_samples(q):
        return _against(p, as_density(q, "q"), settings, method, name, generator, _counting(progress))
    if is_samples(p):
        x, y = as_samples(p, "p"), as_samples(q, "q")
    else:
        density = as_density(p, "p")
        event = event_of(density, "p")
        y = as_samples(q, "q", event)
        n = settings.n or min(max(len(y), _DRAWN[0]), _DRAWN[1])
        _refuse(f"draws of {described(density)}", gradients=_gradients(density))
        x = as_samples(drawn(density, n, settings.seed), "p", event)
    x, y, said = comparable(x, y)  # type: ignore[assignment]
    _refuse(f"method {name!r}", gradients=not method.differentiable and any(s.rows.requires_grad for s in (x, y)))
    rows_x, rows_y, _ = whitened(x, y)
    assert rows_y is not None
    found = method.of_samples(rows_x, rows_y, generator, _counting(progress))
    return _estimate(found, [x, y], settings, name, [*said, method.caveat])


def _against(
    p: Any, q: Density, settings: Settings, method: Method, name: str, generator: torch.Generator, step: Step
) -> Estimate:
    x = as_samples(p, "p", event_of(q, "q"))
    log_q = log_density(q, x.given).reshape(-1)
    if len(log_q) != len(x):
        raise ValueError(f"the log-density of {described(q)} gave {len(log_q)} numbers for {len(x)} rows.")
    x, _, said = comparable(x, None)
    _refuse(f"method {name!r}", gradients=not method.differentiable and x.rows.requires_grad)
    if bool(torch.isinf(log_q).any()):
        infinite, none = (torch.tensor(v, dtype=torch.float64) for v in (math.inf, 0.0))
        said.append("q is 0 at samples of p, where the divergence is infinite")
        return _estimate(SampleEstimate(infinite, none, math.inf, 0.0), [x], settings, name, said)
    rows, _, log_det = whitened(x, None)
    found = method.against_density(rows, log_q + log_det, generator, step)
    return _estimate(found, [x], settings, name, [*said, method.caveat])


def _counting(progress: Progress | None) -> Step:
    counter = itertools.count(1)
    return (lambda: progress(next(counter), None)) if progress else (lambda: None)


def _gradients(density: Density) -> bool:
    if isinstance(density, Foreign):
        return torch.is_grad_enabled() and log_density(density, density.draw(1)).requires_grad
    tensors = density.tensors()
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


def _refuse(what: str, *, gradients: bool) -> None:
    if gradients and torch.is_grad_enabled():
        raise ValueError(
            f"{what} cannot carry gradients that are those of the divergence. Detach what requires them; to samples "
            'they flow with method="gaussian".'
        )


def _estimate(
    found: SampleEstimate, sides: list[Samples], settings: Settings, name: str, said: Sequence[str | None]
) -> Estimate:
    from scipy.special import stdtrit

    dtype = torch.float64 if any(s.dtype == torch.float64 for s in sides) else torch.float32
    value, error = found.value, found.variance.sqrt()
    quantile = NORMAL_QUANTILE if math.isinf(found.freedom) else float(stdtrit(found.freedom, 0.975))
    reach = quantile * error
    warnings = [*(x for x in said if x is not None), *found.warnings]
    number, limit = float(value.detach()), math.log(min(len(s) for s in sides))
    if limit < number < math.inf:
        warnings.append(
            f"{number:.3g} nats are more than log n = {limit:.3g}, what so many samples can show by themselves: the "
            "estimate rests on the samples being like Gaussians"
        )
    if number < -IMPOSSIBLE * float(error):
        warnings.append(f"the estimate is below 0 by more than {IMPOSSIBLE:g} standard errors, which no divergence is")
    if settings.tolerance is not None and not float(error) <= settings.tolerance:
        warnings.append(
            f"the standard error is {float(error):.3g}, above the tolerance {settings.tolerance:g}, and would be less "
            "with more samples"
        )
    kind = common_array_kind(s.array_kind for s in sides)

    def given(x: Tensor) -> Any:
        return to_callers_type(x.to(dtype), kind)

    still, wide = value.detach(), reach + found.bias
    interval, band = ((given(still - x), given(still + x)) for x in (reach, wide))
    return Estimate(given(value), given(error), interval, band, sum(map(len, sides)), name, tuple(warnings))
