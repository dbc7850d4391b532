"""What is said of an object that stands for no Gaussian: what it is, and the call that takes it."""

import itertools
import os
from collections.abc import Mapping
from typing import Any

from torch.distributions import Distribution, Independent, TransformedDistribution

from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.interop.calls import (
    BUILD,
    constructor,
    constructor_by_names,
    is_pair,
    kind_of,
    pair_of,
    shape_of,
    standard,
)
from kullback.interop.changes import is_folded
from kullback.interop.shared import has_density_of_its_own
from kullback.interop.wrapped import is_wrapper
from kullback.numerics.classes import class_names

# The calls that take densities in the place of an exact function, and those that prove bounds for mixtures.
_ESTIMATES = {
    "kl_divergence": "kl_estimate({})",
    "entropy": "entropy_estimate({})",
    "cross_entropy": "cross_entropy_estimate({})",
    **dict.fromkeys(("kl_loss", "free_bits", "balanced_kl"), "kl_estimate({}, n=64).value"),
    "mixture_prior_kl": "kl_estimate(q, prior, n=64).value",
    "jeffreys": "kl_estimate(p, q).value + kl_estimate(q, p).value",
}
# What of pyarrow reads a table, and how.
_TABLES = {"Dataset": "to_table()", "Scanner": "to_table()", "RecordBatchReader": "read_all()", "ParquetFile": "read()"}
# How many keys of a mapping a message lists.
_SHOWN = 8
_BOUNDS = {"kl_divergence": "kl_bounds", "entropy": "entropy_bounds", "cross_entropy": "cross_entropy_bounds"}


def refusal(x: Any, name: str, function: str, other: Any = None) -> NoClosedForm | TypeError:
    """The error for ``x``, the argument ``name`` of ``function``, with ``other`` beside it.

    NoClosedForm for what has a density, TypeError for anything else.
    """
    inside = x.distribution if is_wrapper(x) else x
    if isinstance(inside, Mixture):
        return _of_mixture(inside, name, function)
    if isinstance(inside, Distribution):
        return _of_distribution(inside, name, function, other)
    if _is_list_of_distributions(getattr(x, "distribution", None)):
        return NoClosedForm(
            f"{name} is a {type(x).__name__} that holds a list of {len(x.distribution)} distributions. If they are "
            "independent, their divergences add up: sum(kl_divergence(a, b) for a, b in zip(p.distribution, "
            "q.distribution))."
        )
    if callable(getattr(x, "log_prob", None)):
        drawn = callable(getattr(x, "sample", None))
        lacks = "" if drawn or name == "q" else f" p is drawn from: give the {type(x).__name__} a method sample(n)."
        return NoClosedForm(f"{name} is an object {type(x).__name__} with a log-density. {_instead(function)}{lacks}")
    if callable(getattr(x, "logpdf", None)):
        if hasattr(x, "freeze") and not hasattr(x, "dist"):
            return TypeError(f"{name} is {kind_of(x)}, of no parameters yet: freeze it, {_scipy_name(x)}(...).")
        what = f"{name} is a {_scipy_name(x)} of scipy. {_instead(function)}"
        if not callable(getattr(x, "rvs", None)) and not callable(getattr(x, "resample", None)):
            what += (
                f" For that give {name} as an object with log_prob(x) and sample(n), which call its logpdf and sample."
            )
        return NoClosedForm(what)
    if callable(getattr(x, "logpmf", None)):
        return NoClosedForm(
            f"{name} is a {_scipy_name(x)} of scipy, which is discrete and has no density: {function} is of Gaussians. "
            "The divergence of two discrete distributions is a sum over their values, of pmf(k) (logpmf_p(k) - "
            "logpmf_q(k)); that from a Gaussian is infinite."
        )
    return _of_no_density(x, name, function, other)


def _is_list_of_distributions(x: Any) -> bool:
    return isinstance(x, list | tuple) and bool(x) and all(isinstance(each, Distribution) for each in x)


def of_samples(function: str, name: str = "p") -> str:
    """The call for samples in the place of a Gaussian."""
    if function == "cross_entropy" and name == "p":
        return "-q.log_prob(p).mean()"
    if function in ("kl_divergence", "entropy"):
        return _ESTIMATES[function].format(_arguments(function))
    return f"Gaussian.from_samples({name}, structure='full') is the Gaussian that fits them"


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
    if has_density_of_its_own(base):
        own = f" {type(base).__name__} has a log_prob of its own, which is not that of the class it is derived from."
    elif isinstance(base, TransformedDistribution):
        own = (
            f" It is changed by {', '.join(type(t).__name__ for t in base.transforms)}: only where p and q have the "
            "same transforms, one-to-one on what they are applied to, do divergences that are invariant, as "
            "kl_divergence is, pass to the Gaussians under them."
        )
    if isinstance(base, TransformedDistribution) and is_folded(base):
        return NoClosedForm(
            f"{what}, changed by {', '.join(type(t).__name__ for t in base.transforms)}, not all of which are known to "
            f"be one-to-one on what they are applied to: {function} has no closed form, and torch's log_prob is not "
            "the density. Write that as an object with log_prob(x) and sample(n), and estimate."
        )
    estimate = _instead(function, _event_of(x, name, other))
    return NoClosedForm(f"{what}, for which {function} has no closed form here.{own} {estimate}")


def _of_no_density(x: Any, name: str, function: str, other: Any) -> TypeError:
    kind = kind_of(x)
    what = f"{name} must be a Gaussian or a distribution that is one, got {kind}."
    shape = shape_of(x)
    if shape is not None and shape != () and not is_pair(x):
        return TypeError(
            f"{what} Are these samples, one a row? {of_samples(function, name)}. Are these means? Add their scale: "
            f"{BUILD}."
        )
    pair = pair_of(x)
    if pair is not None:
        return TypeError(f"{what} Say what it holds: {constructor(*pair, number=0)}, or the constructor of its scale.")
    if isinstance(x, list | tuple) and any(isinstance(each, Gaussian | Mixture | Distribution) for each in x):
        return TypeError(f"{what} A list of Gaussians is a batch; one of these is none.")
    if isinstance(x, Mapping):
        written = constructor_by_names(x, name)
        if written is not None:
            return TypeError(f"{what} {written}.")
        keys = ", ".join(repr(key) for key in itertools.islice(x, _SHOWN)) + ", …" * (len(x) > _SHOWN)
        return TypeError(f"{what}{f' Its keys, {keys}, name no mean and scale.' if keys else ''} Build one: {BUILD}.")
    advice = _of_stored(x, name)
    if advice is not None:
        return TypeError(f"{what} {advice}")
    if x is None or shape == ():
        return TypeError(f"{what} A standard normal is {standard(other)}; any other: {BUILD}.")
    return TypeError(f"{what} Build one: {BUILD}.")


def _of_stored(x: Any, name: str) -> str | None:
    """What to do about what stands for files; None for anything else."""
    if isinstance(x, str | os.PathLike):
        return "Files are compared by compare(path_a, path_b)."
    if isinstance(x, list | tuple) and x and all(isinstance(each, str | os.PathLike) for each in x):
        return "compare takes the files of a model as one path: their folder, or a pattern such as 'run/*.parquet'."
    for kind, call in _TABLES.items():
        if kind in class_names(x, "pyarrow"):
            folder = "its folder as a path, or " if kind == "Dataset" else ""
            return f"compare takes {folder}the table in it: {name}.{call}."
    return None


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


def _scipy_name(x: Any) -> str:
    return str(getattr(getattr(x, "dist", x), "name", None) or type(x).__name__)
