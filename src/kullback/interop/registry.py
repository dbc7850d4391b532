"""The readers of foreign objects, and the conversions that public functions call at their boundary."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from torch import distributions

from kullback import interop
from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.interop.wrapped import is_wrapper
from kullback.numerics.foreign_arrays import is_array

Converted = Gaussian | Mixture | None
Reader = Callable[[Any, str, "Callable[[Any, str], Converted]"], Converted]

_MODULES = [
    importlib.import_module(f"{__package__}.{module.name}")
    for module in pkgutil.iter_modules(interop.__path__)
    if module.name != "registry"
]

# The reader of every module of this package for one kind of object, in the order of their names: each passes on what is
# not its own, and GPyTorch's distributions, which are also torch's, are asked for first.
READERS: tuple[Reader, ...] = tuple(module.read for module in _MODULES if hasattr(module, "read"))


def convert(x: Any, name: str) -> Converted:
    """``x`` as a Gaussian or a mixture of them; None if no reader knows it. ``name`` is what errors call it."""
    known = _READER_OF.get(type(x))
    if known is not None:
        converted = known(x, name, convert)
        if converted is not None:
            return converted
    if isinstance(x, Gaussian | Mixture):
        return x
    for read in READERS:
        converted = read(x, name, convert)
        if converted is not None:
            _READER_OF[type(x)] = read
            return converted
    return None


# Of types that have been met: what read an object of the type is asked first.
_READER_OF: dict[type, Reader] = {}


def as_gaussian(x: Any, name: str = "x") -> Gaussian:
    """``x`` as a :class:`~kullback.Gaussian`: itself, or what an object of another library stands for.

    Args:
        x: a Gaussian; a ``torch.distributions`` Normal, Independent of Normals, MultivariateNormal or
            LowRankMultivariateNormal, or an affine image of one; those of Pyro and NumPyro; Normals, Independent of
            Normals and MultivariateNormals of distrax and TensorFlow Probability; what holds a distribution of torch as
            ``.distribution``; a frozen ``norm`` or ``multivariate_normal`` of scipy; a GPyTorch MultivariateNormal; a
            diffusers posterior, or the output that holds it as ``latent_dist``; the output of a pythae encoder; a list
            of any of these, which is a batch.
        name: what an error calls it.

    Raises:
        NoClosedForm: for a mixture, a masked Gaussian, or a distribution of torch that is not among those.
        ShapeError: for a list of Gaussians whose event shapes differ.
        TypeError: for anything else.

    Example:
        >>> import torch
        >>> from kullback import as_gaussian
        >>> as_gaussian(torch.distributions.MultivariateNormal(torch.zeros(3), torch.eye(3)))
        Gaussian(batch_shape=(), event_shape=(3,), given as scale_tril, dtype=float32, device=cpu)
    """
    if isinstance(x, Gaussian):
        return x
    converted = convert(x, name)
    if isinstance(converted, Gaussian):
        return converted
    if converted is not None:
        raise NoClosedForm(
            f"{name} is a Mixture[{converted.n_components}]: divergences of mixtures have no closed form. Proved "
            "bounds: kl_bounds(p, q). Estimate with its error: kl_estimate(p, q). Of entropies: entropy_bounds, "
            "entropy_estimate."
        )
    x = x.distribution if is_wrapper(x) else x
    if isinstance(x, distributions.Distribution):
        kind = type(x).__name__
        while isinstance(x, distributions.Independent):
            x = x.base_dist
            kind = f"{kind}({type(x).__name__})"
        raise NoClosedForm(
            f"{name} is a torch.distributions {kind}: no exact divergence is implemented for it. There is one for "
            "Normal, Independent(Normal), MultivariateNormal and LowRankMultivariateNormal, their affine images, "
            "and for pairs with the same transforms. An estimate with its error: kl_estimate(p, q)."
        )
    hint = "Build one: Gaussian.from_std(mean, std), from_variance(...), from_logvar(...) or from_covariance(...)."
    if is_array(x):
        hint = (
            "Are these samples? kl_estimate(p, q) and entropy_estimate(p) estimate from samples. Are these means? "
            f"{hint}"
        )
    raise TypeError(f"{name} must be a Gaussian or a torch.distributions Gaussian, got {type(x).__name__}. {hint}")
