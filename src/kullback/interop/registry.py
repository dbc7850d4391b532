"""The readers of foreign objects, and the conversions that public functions call at their boundary."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from kullback import interop
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.interop.calls import BUILD, call_of_arrays, shapes_of
from kullback.interop.refusals import of_samples, refusal
from kullback.interop.shared import has_density_of_its_own

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
    if has_density_of_its_own(x):
        return None
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
        NoClosedForm: for a mixture, a masked Gaussian, or another density; the message names the call that takes it.
        ShapeError: for a list of Gaussians whose event shapes differ.
        TypeError: for anything else.

    Example:
        >>> import torch
        >>> from kullback import as_gaussian
        >>> as_gaussian(torch.distributions.MultivariateNormal(torch.zeros(3), torch.eye(3)))
        Gaussian(batch_shape=(), event_shape=(3,), given as scale_tril, dtype=float32, device=cpu)
    """
    return gaussian_for("kl_divergence", x, name)


def gaussian_for(function: str, x: Any, name: str, other: Any = None) -> Gaussian:
    """``x`` as a Gaussian for an exact function, whose name and other argument decide what an error advises.

    Raises as :func:`as_gaussian` does.
    """
    if isinstance(x, Gaussian):
        return x
    converted = convert(x, name)
    if isinstance(converted, Gaussian):
        return converted
    raise refusal(x if converted is None else converted, name, function, other)


def gaussians_for(function: str, p: Any, q: Any, call: str | None = None) -> tuple[Gaussian, Gaussian]:
    """Both arguments of an exact function as Gaussians.

    ``call`` is what was called, if that is not the function, with braces in the place of p and q.

    Raises as :func:`as_gaussian` does; for arrays the message writes the call with constructors.
    """
    try:
        return gaussian_for(function, p, "p", q), gaussian_for(function, q, "q", p)
    except TypeError as error:
        call = f"{function}({{}})" if call is None else call
        written = call_of_arrays(call, (p, q))
        if written is None:
            raise
        samples = "" if isinstance(p, tuple | list) else f" If they are samples, one a row: {of_samples(function)}."
        raise TypeError(
            f"{call.split('(')[0]} takes two Gaussians, got {shapes_of((p, q))}. If they are means and scales: "
            f"{written}, or the constructor that the scales belong to: {BUILD}.{samples}"
        ) from error
