"""The divergence of all parameters of a Bayesian network from their priors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.divergences.kl import kl_divergence
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.interop.calls import shape_of
from kullback.interop.registry import as_gaussian
from kullback.numerics.arrays import from_callers_type

_STANDARD = Gaussian.standard(())


class SumKL(NamedTuple):
    """A sum of divergences, and what each name adds to it."""

    total: Tensor
    parts: dict[str, Tensor]


def sum_kl(posteriors: Mapping[str, Any], prior: Any = _STANDARD, *, scale: Parameterization = "std") -> SumKL:
    r"""The divergence of independent Gaussians, such as the weights of a network, from their priors: a sum, no mean.

    For the evidence lower bound of a data set of N examples it is divided by N once, or by the number of minibatches
    where each minibatch has its loss; by the size of a layer it is never divided.

    Shape:
        Single numbers.
    Units:
        Nats.
    Gradient:
        Flows to posteriors and priors.

    Args:
        posteriors: by name, pairs ``(mean, scale)`` of tensors of one shape, of which every entry is a Gaussian (a
            Python number is that of all entries); or Gaussians, or anything else that :func:`kl_divergence` takes,
            whose batches are summed.
        prior: one Gaussian for all; or a mapping that has one for each name. That of pairs is one-dimensional, or of
            the shape of the pair as its batch: ``Gaussian.from_std(0.0, 0.1)``. The standard normal by default.
        scale: what the second of a pair is: ``"std"``, ``"variance"``, ``"logvar"`` or ``"log_std"``.

    Returns:
        ``SumKL(total, parts)``: the sum, and the part of each name, as tensors.

    Raises:
        TypeError: if the posteriors have no names.
        ValueError: if there are no posteriors.
        ShapeError: if the shapes of a pair differ, or its prior has a batch of another shape.
        KeyError: if a mapping of priors lacks a name.

    Reference:
        C. Blundell, J. Cornebise, K. Kavukcuoglu and D. Wierstra, Weight uncertainty in neural networks, ICML 2015.

    Example:
        >>> import torch
        >>> from kullback.losses import sum_kl
        >>> layers = {"weight": (torch.ones(3, 2), torch.ones(3, 2)), "bias": (torch.zeros(3), torch.ones(3))}
        >>> sum_kl(layers)
        SumKL(total=tensor(3.), parts={'weight': tensor(3.), 'bias': tensor(0.)})
    """
    if not isinstance(posteriors, Mapping):
        raise TypeError(
            f"posteriors must be a mapping of names to posteriors, got {type(posteriors).__name__}. Of one: "
            "sum_kl({'weight': p}, q), or kl_divergence(p, q).sum()."
        )
    if not posteriors:
        raise ValueError("sum_kl needs at least one posterior.")
    parts = {}
    for name, given in posteriors.items():
        p = given
        if isinstance(given, tuple):
            _check_one_shape(name, given, scale)
            p = getattr(Gaussian, f"from_{scale}")(*given, event_dims=0)
        q = prior[name] if isinstance(prior, Mapping) else prior
        if q is _STANDARD:
            p = as_gaussian(p, name)
            q = Gaussian.standard(p.event_shape)
        rows = from_callers_type(kl_divergence(p, q))
        if isinstance(p, Gaussian) and rows.shape != p.batch_shape:
            raise ShapeError(
                f"{name}: the posteriors have shape {tuple(p.batch_shape)}, with their priors {tuple(rows.shape)}: "
                "each would be counted several times. Pass one prior for all, or one for each."
            )
        parts[name] = rows.sum()
    return SumKL(torch.stack(list(parts.values())).sum(), parts)


def _check_one_shape(name: str, pair: tuple[Any, ...], scale: str) -> None:
    shapes = [shape_of(x) for x in pair if not isinstance(x, int | float)]
    if len(pair) != 2:
        raise TypeError(f"{name} is a tuple of {len(pair)}: a posterior is a pair, (mean, {scale}).")
    if len(shapes) == 2 and shapes[0] != shapes[1]:
        raise ShapeError(
            f"{name}: the mean has shape {shapes[0]}, the {scale} has {shapes[1]}. Each entry has its own."
        )
