"""What else is computed in the place of the KL divergence: other divergences, and formulas that are not its own."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kullback.divergences import bhattacharyya, cross_entropy, fisher_rao, hellinger, jeffreys, wasserstein2
from kullback.errors import NoClosedForm, NotPositiveDefinite
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.numerics.arrays import from_callers_type
from kullback.numerics.tensors import broadcast_shapes

# The most numbers that are drawn, and the most samples, to imitate mistakes that sample.
_MAX_DRAWN = 4_000_000
_MAX_SAMPLES = 256


class Other(NamedTuple):
    """What is computed instead, and its value for each row."""

    mistake: str
    value: Tensor
    noise: float = 0.0
    """The standard error of the value, if it involves sampling."""


_DIVERGENCES: tuple[tuple[str, Callable[[Gaussian, Gaussian], Any]], ...] = (
    ("the cross-entropy −E_p log q: the entropy of p is not subtracted", cross_entropy.cross_entropy),
    ("the Jeffreys divergence KL(p‖q) + KL(q‖p)", jeffreys.jeffreys),
    ("the mean of KL(p‖q) and KL(q‖p)", lambda p, q: 0.5 * jeffreys.jeffreys(p, q)),
    ("the 2-Wasserstein distance", wasserstein2.wasserstein2),
    ("the squared 2-Wasserstein distance", lambda p, q: wasserstein2.wasserstein2(p, q, squared=True)),
    ("the Bhattacharyya distance", bhattacharyya.bhattacharyya),
    ("the Hellinger distance", hellinger.hellinger),
    ("the Fisher–Rao distance", fisher_rao.fisher_rao),
)


def other_divergences(p: Gaussian, q: Gaussian) -> Iterator[Other]:
    """The divergences that have a closed form for the pair."""
    for name, divergence in _DIVERGENCES:
        try:
            yield Other(f"this is {name}, not KL(p‖q)", from_callers_type(divergence(p, q)))
        except (NoClosedForm, NotPositiveDefinite):
            continue


def inexact_formulas(p: Gaussian, q: Gaussian) -> Iterator[Other]:
    """What rounds or draws, whose values many a mistake would give: to be asked last."""
    yield from _in_bfloat16(p, q)
    yield from _by_kl_div(p, q)


def _in_bfloat16(p: Gaussian, q: Gaussian) -> Iterator[Other]:
    """The formula for a standard normal prior, as a training loss under autocast computes it."""
    if not isinstance(p.scale, Diagonal):
        return
    logvar, mean = p.scale.to("logvar").value.bfloat16(), p.mean.bfloat16()
    terms = -0.5 * (1 + logvar - mean.pow(2) - logvar.exp())
    batch = broadcast_shapes(p.batch_shape, q.batch_shape)
    total = terms.broadcast_to(batch + p.event_shape).reshape(*batch, -1).sum(-1)
    yield Other("the VAE formula −½ Σ (1 + logvar − mu² − e^logvar) is computed in bfloat16", total.double())


def _by_kl_div(p: Gaussian, q: Gaussian) -> Iterator[Other]:
    """``F.kl_div``, which is for discrete distributions, called on the means, and then on samples."""
    batch = broadcast_shapes(p.batch_shape, q.batch_shape)
    shape = batch + p.event_shape
    n = max(2, min(_MAX_SAMPLES, _MAX_DRAWN // max(1, math.prod(shape))))
    generator = torch.Generator().manual_seed(0)
    x, y = (g.expand(batch).sample(n, generator=generator) for g in (p, q))
    dims = tuple(range(-len(p.event_shape), 0))
    for subject, a, b in (("the means", p.mean.broadcast_to(shape), q.mean.broadcast_to(shape)), ("samples", x, y)):
        for how, first, second in (
            ("as they are: it expects log-probabilities and probabilities", a, b),
            ("softmaxed: it then compares distributions over the coordinates", a.log_softmax(-1), b.softmax(-1)),
        ):
            terms = functional.kl_div(first, second, reduction="none")
            rows, noise = terms.sum(dims) if dims else terms, 0.0
            if subject == "samples":
                rows, noise = rows.mean(0), float(rows.std(0).mean() / math.sqrt(n))
            yield Other(f"F.kl_div is called on {subject}, {how}", rows, noise)
