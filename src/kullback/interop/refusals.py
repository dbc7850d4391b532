"""What is said of an object that stands for no Gaussian: what it is, and the call that takes it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.distributions import Distribution, Independent, TransformedDistribution

from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.numerics.foreign_arrays import is_array

BUILD = "Gaussian.from_std(mean, std), from_variance, from_logvar, from_log_std or from_covariance"

# The calls that take densities in the place of an exact function, and those that prove bounds for mixtures.
_ESTIMATES = {
    "kl_divergence": "kl_estimate({})",
    "entropy": "entropy_estimate({})",
    "cross_entropy": "cross_entropy_estimate({})",
    **dict.fromkeys(("kl_loss", "free_bits", "balanced_kl"), "kl_estimate({}, n=64).value"),
    "mixture_prior_kl": "kl_estimate(q, prior, n=64).value",
    "jeffreys": "kl_estimate(p, q).value + kl_estimate(q, p).value",
}
_BOUNDS = {"kl_divergence": "kl_bounds", "entropy": "entropy_bounds", "cross_entropy": "cross_entropy_bounds"}


def refusal(x: Any, name: str, function: str, other: Any = None) -> NoClosedForm | TypeError:
    """The error for ``x``, the argument ``name`` of ``function``, with ``other`` beside it.

    NoClosedForm for what has a density, TypeError for anything else.
    """
    inside = _is_held_by(x)
    if isinstance(inside, Mixture):
        return _of_mixture(inside, name, function)
    if isinstance(inside, Distribution):
        return _of_distribution(inside, name, function, other)
    if callable(getattr(x, "log_prob", None)):
        drawn = callable(getattr(x, "sample", None))
        lacks = "" if drawn or name == "q" else f" p is drawn from: give the {type(x).__name__} a method sample(n)."
        return NoClosedForm(f"{name} is an object {type(x).__name__} with a log-density. {_instead(function)}{lacks}")
    if callable(getattr(x, "logpdf", None)):
        if hasattr(x, "freeze") and not hasattr(x, "dist"):
            return TypeError(f"{name} is {_kind(x)}, of no parameters yet: freeze it, {_scipy_name(x)}(...).")
        return NoClosedForm(f"{name} is a {_scipy_name(x)} of scipy. {_instead(function)}")
    return _of_no_density(x, name, function, other)


def call_of_arrays(function: str, arguments: Sequence[Any]) -> str | None:
    """What to write for arguments that are arrays, or pairs of them; None if some are neither."""
    if len(arguments) > 4 or all(isinstance(x, Gaussian | Distribution) for x in arguments):
        return None
    pairs = [_pair(x) for x in arguments]
    if all(_shape(x) is not None for x in arguments) and len(arguments) in (2, 4):
        pairs = [(arguments[0], arguments[1]), *([(arguments[2], arguments[3])] if len(arguments) == 4 else [])]
    written = []
    for k, (pair, given) in enumerate(zip(pairs, [*arguments, None, None], strict=False), 1):
        if pair is None and not isinstance(given, Gaussian | Distribution):
            return None
        written.append("pq"[k - 1] if pair is None else _constructor(*pair, number=k if len(pairs) > 1 else 0))
        if k == 2:
            break
    if len(written) == 1:
        written.append(_standard(arguments[0]))
    return f"{function}({', '.join(written)})"


def of_samples(function: str, name: str = "p") -> str:
    """The call for samples in the place of a Gaussian."""
    if function == "cross_entropy" and name == "p":
        return "-q.log_prob(p).mean()"
    if function in ("kl_divergence", "entropy"):
        return _ESTIMATES[function].format(_arguments(function))
    return f"Gaussian.from_samples({name}, structure='full') is the Gaussian that fits them"


def shapes_of(arguments: Sequence[Any]) -> str:
    """The arguments in a message: their kinds, and the shapes of arrays."""
    return ", ".join(_kind(x) for x in arguments)


def _of_mixture(x: Mixture, name: str, function: str) -> NoClosedForm:
    call = _arguments(function)
    bounds = f" Proved bounds: {_BOUNDS[function]}({call})." if function in _BOUNDS else ""
    return NoClosedForm(
        f"{name} is a Mixture[{x.n_components}], for which {function} has no closed form.{bounds} {_instead(function)}"
    )


def _of_distribution(x: Distribution, name: str, function: str, other: Any) -> NoClosedForm:
    base, kind = x, type(x).__name__
    while isinstance(base, Independent):
        base = base.base_dist
        kind = f"{kind}({type(base).__name__})"
    what = f"{name} is a torch.distributions {kind}"
    own = f" torch has its own: {name}.entropy()." if function == "entropy" and _has_entropy(x) else ""
    if _is_discrete(x):
        return NoClosedForm(
            f"{what}, which is discrete and has no density: {function} is of Gaussians. The divergence of two discrete "
            f"distributions: torch.distributions.kl_divergence(p, q); that from a Gaussian is infinite.{own}"
        )
    if isinstance(base, TransformedDistribution):
        own = (
            f" It is changed by {', '.join(type(t).__name__ for t in base.transforms)}: only where p and q have the "
            "same transforms do divergences that are invariant, as kl_divergence is, pass to the Gaussians under them."
        )
    estimate = _instead(function, _event_of(x, name, other))
    return NoClosedForm(f"{what}, for which {function} has no closed form here.{own} {estimate}")


def _of_no_density(x: Any, name: str, function: str, other: Any) -> TypeError:
    kind = _kind(x)
    what = f"{name} must be a Gaussian or a distribution that is one, got {kind}."
    shape = _shape(x)
    if shape is not None and shape != ():
        return TypeError(
            f"{what} Are these samples, one a row? {of_samples(function, name)}. Are these means? Add their scale: "
            f"{BUILD}."
        )
    pair = _pair(x)
    if pair is not None:
        return TypeError(f"{what} Say what it holds: {_constructor(*pair, number=0)}, or the constructor of its scale.")
    if isinstance(x, list | tuple) and any(isinstance(each, Gaussian | Mixture | Distribution) for each in x):
        return TypeError(f"{what} A list of Gaussians is a batch; one of these is none.")
    if isinstance(x, Mapping):
        keys = list(x)[:2]
        return TypeError(f"{what} Gaussian.from_std({', '.join(f'{name}[{key!r}]' for key in keys)}), or its like.")
    if x is None or shape == ():
        return TypeError(f"{what} A standard normal is {_standard(other)}; any other: {BUILD}.")
    return TypeError(f"{what} Build one: {BUILD}.")


def _instead(function: str, arguments: str | None = None) -> str:
    """The call that estimates what has no closed form."""
    if function in _ESTIMATES:
        call = _ESTIMATES[function].format(arguments or _arguments(function))
        return f"An estimate with its error: {call}."
    return (
        f"No estimate of {function} is implemented; kl_estimate(p, q) and jensen_shannon_estimate(p, q) estimate other "
        "divergences of the same distributions."
    )


def _arguments(function: str) -> str:
    return "p" if function == "entropy" else "p, q"


def _event_of(x: Distribution, name: str, other: Any) -> str | None:
    """The arguments of an estimate, where ``x`` lacks dimensions of the event of what stands beside it."""
    event = getattr(other, "event_shape", None)
    lacking = 0 if event is None else len(event) - len(x.event_shape)
    if lacking <= 0 or x.batch_shape[len(x.batch_shape) - lacking :] + x.event_shape != event:
        return None
    independent = f"Independent({name}, {lacking})"
    return f"{independent}, q" if name == "p" else f"p, {independent}"


def _is_held_by(x: Any) -> Any:
    held = getattr(x, "distribution", None)
    return held if isinstance(held, Distribution) and not isinstance(x, Distribution) else x


def _is_discrete(x: Distribution) -> bool:
    try:
        support: Any = x.support
        return bool(getattr(support, "is_discrete", False))
    except NotImplementedError:
        return False


def _has_entropy(x: Distribution) -> bool:
    try:
        x.entropy()
    except NotImplementedError:
        return False
    return True


def _shape(x: Any) -> tuple[int, ...] | None:
    """The shape of an array, a number or lists of numbers; None for anything else."""
    if is_array(x):
        return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)
    if isinstance(x, int | float):
        return ()
    if (
        isinstance(x, list | tuple)
        and x
        and all(_shape(each) is not None and not isinstance(each, Tensor) for each in x)
    ):
        try:
            return np.shape(x)
        except ValueError:  # a ragged one
            return None
    return None


def _pair(x: Any) -> tuple[Any, Any] | None:
    """The mean and the scale of a pair of arrays."""
    if not isinstance(x, list | tuple) or len(x) != 2 or any(_shape(each) in (None, ()) for each in x):
        return None
    return x[0], x[1]


def _constructor(mean: Any, scale: Any, *, number: int) -> str:
    """The constructor for a mean and a scale, by their shapes and the signs of the scale."""
    shape_of_mean, shape = _shape(mean), _shape(scale)
    assert shape_of_mean is not None
    assert shape is not None
    kind, what = "std", "std"
    if (
        len(shape) >= 2
        and shape[-1] == shape[-2]
        and shape_of_mean[-1:] == shape[-1:]
        and len(shape) > len(shape_of_mean)
    ):
        kind, what = "covariance", "cov"
    elif (isinstance(scale, np.ndarray | list | tuple) and np.min(scale) < 0) or _is_negative(scale):
        kind, what = "logvar", "logvar"
    suffix = f"_{number}" if number else ""
    return f"Gaussian.from_{kind}(mu{suffix}, {what}{suffix})"


def _is_negative(x: Any) -> bool:
    return isinstance(x, Tensor) and x.device.type == "cpu" and x.numel() > 0 and bool((x.detach() < 0).any())


def _standard(beside: Any) -> str:
    """The standard normal of the event of what it stands beside."""
    event = getattr(beside, "event_shape", None)
    shape = _shape(beside) if event is None else tuple(event)
    if event is None and shape is not None:
        shape = shape[-1:]
    if shape is None:
        return "Gaussian.standard(d)"
    return f"Gaussian.standard({shape[0] if len(shape) == 1 else shape})"


def _kind(x: Any) -> str:
    """A type, and the shapes in it."""
    shape = _shape(x)
    if isinstance(x, list | tuple):
        parts = ", ".join(_kind(each) for each in x[:4]) if shape is None else f"of shape {shape}"
        return f"{type(x).__name__} ({parts})" if shape is None else f"{type(x).__name__} {parts}"
    if shape:
        return f"{type(x).__name__} of shape {shape}"
    return "Gaussian" if isinstance(x, Gaussian) else type(x).__name__


def _scipy_name(x: Any) -> str:
    return str(getattr(getattr(x, "dist", x), "name", None) or type(x).__name__)
