"""The posteriors that an encoder gives for all inputs of a loader, as one batch."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.data import RandomSampler, SubsetRandomSampler, WeightedRandomSampler

from kullback.comparison.objects import as_posteriors, check_scale
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Isotropic, Parameterization
from kullback.numerics.arrays import common_array_kind

_RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


def encode(
    encoder: Callable[[Any], Any],
    loader: Iterable[Any],
    *,
    scale: Parameterization | None = None,
    inputs: Any = None,
    device: torch.device | str | None = None,
    progress: Callable[[int, None], None] | None = None,
) -> Gaussian:
    """The posteriors that an encoder gives for all inputs of a loader, as one batch of Gaussians on the CPU.

    The encoder runs without gradients. If it is a module, or a method of a module such as ``vae.encode``, the module
    is in eval mode during the run, and every submodule has its former mode afterwards. Other callables, such as a
    lambda, hide their module: call ``eval()`` on it before, and state ``device``.

    Rows keep the order of the loader. :func:`compare` pairs the rows of two models by their order, so both loaders
    must give the same inputs in the same order. A ``DataLoader`` with ``shuffle=True`` is refused; a data set that
    shuffles by itself cannot be recognized.

    Shape:
        Outputs with means of shape ``(B, *event)`` give a batch of shape ``(N,)`` with these events. A torch
        ``Normal`` is a batch of one-dimensional Gaussians, as in :func:`as_gaussian`: of shape ``(B, d)`` it gives
        the batch shape ``(N, d)``; ``Independent(normal, 1)`` makes its last dimension the event.

    Args:
        encoder: a callable that takes a batch of inputs and returns their posteriors: a Gaussian or what
            :func:`as_gaussian` takes; or ``(mean, scale)``, two tensors or arrays, with ``scale`` stated.
        loader: a ``DataLoader``, or another iterable of batches. Of a batch that is a tuple or a list, such as
            ``(images, labels)``, the encoder gets the first element.
        scale: what the second of two arrays is: ``"std"``, ``"variance"``, ``"logvar"`` or ``"log_std"``.
        inputs: what the encoder gets of a batch instead: a key (``"image"``, 1), or a function of the batch. Batches
            that are dictionaries need it.
        device: where batches are moved to; None is the device of the parameters of the module.
        progress: called after each batch with the number of rows so far and None.

    Returns:
        A Gaussian with the parameterization of the outputs: log-variances stay log-variances.

    Raises:
        ShapeError: if an output has no batch dimension, or the shapes of two outputs differ in more than the number
            of rows.
        NoClosedForm: if an output is a mixture, or a distribution that is not Gaussian.
        TypeError: if an output is something else.
        ValueError: if the loader is empty or draws its rows in random order, the input cannot be picked from a batch,
            ``scale`` is not given for two arrays, a scale is not positive and finite, or the parameterizations of two
            outputs differ.

    Example:
        >>> import torch
        >>> from kullback import encode
        >>> encoder = lambda x: (x[:, :2], x[:, 2:])
        >>> loader = torch.utils.data.DataLoader(torch.randn(100, 4), batch_size=32)
        >>> encode(encoder, loader, scale="logvar")
        Gaussian(batch_shape=(100,), event_shape=(2,), given as logvar, dtype=float32, device=cpu)
    """
    check_scale(scale)
    _check_order(loader)
    module = _module_of(encoder)
    if device is None and module is not None:
        device = next((parameter.device for parameter in module.parameters()), None)
    outputs: list[Gaussian] = []
    rows = 0
    # Not the inference mode: what modules cache in it cannot be trained with later. An inference mode that surrounds
    # the call is left, so that the result consists of ordinary tensors in any case.
    with _eval_mode(module), torch.inference_mode(mode=False), torch.no_grad():
        for number, batch in enumerate(loader):
            name = f"the output of the encoder for batch {number}"
            posteriors = as_posteriors(encoder(_moved(_picked(batch, inputs, number), device)), name, scale)
            _check_output(posteriors, outputs, name)
            outputs.append(_copied(posteriors))
            rows += len(posteriors)
            if progress:
                progress(rows, None)
        if not outputs:
            raise ValueError(
                "loader is empty: it gave no batch. A generator is empty once it has been used: pass a DataLoader or a "
                "list of batches."
            )
        return _joined(outputs)


def _check_order(loader: Any) -> None:
    batches = getattr(loader, "batch_sampler", None)
    for sampler in (getattr(loader, "sampler", None), getattr(batches, "sampler", None)):
        if isinstance(sampler, _RANDOM):
            raise ValueError(
                f"loader gives its rows in random order ({type(sampler).__name__}), and rows are compared by order. "
                "Build it with shuffle=False, or with a sampler that does not draw at random."
            )


def _module_of(encoder: Any) -> nn.Module | None:
    """The module that is called, itself or by one of its methods."""
    while isinstance(encoder, functools.partial):
        encoder = encoder.func
    owner = getattr(encoder, "__self__", encoder)
    return owner if isinstance(owner, nn.Module) else None


@contextlib.contextmanager
def _eval_mode(module: nn.Module | None) -> Iterator[None]:
    modes = {} if module is None else {part: part.training for part in module.modules()}
    if module is not None:
        module.eval()
    try:
        yield
    finally:
        # By train(), which modules override; from the outermost to the innermost, as it sets those inside.
        for part, mode in modes.items():
            part.train(mode)


def _picked(batch: Any, inputs: Any, number: int) -> Any:
    """What the encoder gets of a batch."""
    if callable(inputs):
        return inputs(batch)
    if inputs is None and isinstance(batch, Mapping):
        raise ValueError(
            f"batch {number} is a dictionary with the keys {_listed(batch)}. Say what the encoder gets: inputs= takes "
            "a key, or a function of the batch."
        )
    if inputs is None:
        inputs = 0
        if not isinstance(batch, (tuple, list)):
            return batch
    try:
        return batch[inputs]
    except (LookupError, TypeError):
        held = f"the keys {_listed(batch)}" if isinstance(batch, Mapping) else f"type {type(batch).__name__}"
        raise ValueError(
            f"inputs={inputs!r} picks nothing from batch {number}, which has {held}. inputs= takes a key of the batch, "
            "or a function of it."
        ) from None


def _listed(batch: Mapping[Any, Any]) -> str:
    return ", ".join(map(repr, batch))


def _moved(x: Any, device: torch.device | str | None) -> Any:
    """``x`` with everything in it that has a method ``to``, tensors among it, on this device."""
    if device is None:
        return x
    return pytree.tree_map(lambda part: part.to(device) if hasattr(part, "to") else part, x)


def _check_output(posteriors: Gaussian, before: list[Gaussian], name: str) -> None:
    if not posteriors.batch_shape:
        raise ShapeError(
            f"{name} has no batch dimension: it is one Gaussian of event shape {tuple(posteriors.event_shape)}; "
            "expected one for each input. The loader must give batches of inputs, and the encoder must keep their "
            "first dimension."
        )
    if not before:
        return
    first = before[0]
    if posteriors.scale.parameterization != first.scale.parameterization:
        raise ValueError(
            f"{name} is given as {posteriors.scale.parameterization}, that for batch 0 as "
            f"{first.scale.parameterization}. Return the same parameterization for every batch."
        )
    if posteriors.batch_shape[1:] != first.batch_shape[1:] or posteriors.event_shape != first.event_shape:
        raise ShapeError(
            f"{name} has batch shape {tuple(posteriors.batch_shape)} and event shape {tuple(posteriors.event_shape)}, "
            f"that for batch 0 has {tuple(first.batch_shape)} and {tuple(first.event_shape)}. Only the number of rows "
            "may differ."
        )


def _copied(g: Gaussian) -> Gaussian:
    """A copy on the CPU, in which every tensor has the whole batch shape."""
    scale = g.scale.cast(g.dtype, g.device) if isinstance(g.scale, Isotropic) else g.scale

    def copy(x: Tensor, event_dims: int) -> Tensor:
        event = x.shape[x.ndim - event_dims :] if x.ndim else g.event_shape
        # A copy even of a tensor on the CPU: an encoder may write its next output into the same memory.
        return x.broadcast_to(g.batch_shape + event).to("cpu", copy=True)

    return Gaussian(copy(g.mean, g.event_dims), scale.map(copy, g.event_dims), g.event_dims, g.array_kind)


def _joined(outputs: list[Gaussian]) -> Gaussian:
    """All rows as one batch."""
    first = outputs[0]
    mean, *parts = (torch.cat(column) for column in zip(*(g.tensors() for g in outputs), strict=True))
    rest = iter(parts)
    scale = first.scale.map(lambda _x, _event_dims: next(rest), first.event_dims)
    return Gaussian(mean, scale, first.event_dims, common_array_kind(g.array_kind for g in outputs))
