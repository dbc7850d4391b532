"""What stands between a public function and its formula: the same for every divergence."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

from kullback.divergences.docstrings import completed
from kullback.divergences.registry import INVARIANT, RECORDS, enter
from kullback.divergences.supports import on_common_support
from kullback.errors import NoClosedForm, ShapeError
from kullback.gaussians.gaussian import Gaussian, NumericGaussian
from kullback.gaussians.mixture import Mixture
from kullback.gaussians.scales.diagonal import Diagonal, Isotropic, common_parameterization
from kullback.gaussians.shapes import expansion
from kullback.interop.calls import BUILD, call_of_arrays, shapes_of
from kullback.interop.pairs import kl_by_torch, without_common_transforms
from kullback.interop.registry import gaussians_for
from kullback.kernels.choice import KERNELS
from kullback.numerics.arrays import ArrayKind, common_array_kind, to_callers_type
from kullback.numerics.meshes import first_distributed, replicated
from kullback.numerics.tensors import broadcast_shapes, common_device, compute_dtype, no_autocast
from kullback.pairs.base import have_densities

P = ParamSpec("P")
R = TypeVar("R")

# What people try as a keyword, and what to write instead.
_INSTEAD = {
    "reduction": "The result is a number for each row: .mean() or .sum() it.",
    "reduce": "The result is a number for each row: .mean() or .sum() it.",
    "base": "The result is in nats: divide by math.log(base).",
    "log_target": "p and q are Gaussians, not tables of probabilities.",
    "dim": "The result sums over the event: event_dims of the constructor says which dimensions that is.",
    "axis": "The result sums over the event: event_dims of the constructor says which dimensions that is.",
}


def divergence(formula: Callable[Concatenate[Gaussian, Gaussian, P], R]) -> Callable[Concatenate[Any, Any, P], R]:
    """Makes the public function of a divergence, which has its row in the registry."""
    function = public(formula)
    enter(function)
    return function


def public(formula: Callable[Concatenate[Gaussian, Gaussian, P], R]) -> Callable[Concatenate[Any, Any, P], R]:
    """Makes a public function of a formula; a kernel that serves its name is asked first.

    The formula gets two Gaussians of tensors, of one event shape, dtype and device, outside autocast; the caller may
    pass anything that stands for a Gaussian, and gets NumPy back for NumPy. Results of several parts are named tuples.
    For a type checker the further arguments and the result are those of the formula: tensors.
    """
    further = [x for x in inspect.signature(formula).parameters.values() if x.name not in ("p", "q")]
    by_others = _OTHERS.get(formula.__name__)
    names, positional = [x.name for x in further], [x.name for x in further if x.kind is x.POSITIONAL_OR_KEYWORD]
    accelerated = KERNELS.get(formula.__name__)
    result_type = formula.__annotations__["return"]
    formula.__doc__ = completed(formula.__doc__, _SECTIONS)

    @functools.wraps(formula)
    def function(p: Any, q: Any, *more: Any, **named: Any) -> Any:
        if more or named:
            _check_arguments(formula.__name__, names, positional, (p, q, *more), named)
        if not (isinstance(p, Gaussian) and isinstance(q, Gaussian)):
            if formula.__name__ in INVARIANT:
                p, q = without_common_transforms(p, q)
            try:
                p, q = gaussians_for(formula.__name__, p, q)
            except NoClosedForm:
                value = None if by_others is None else by_others(p, q)
                if value is None:
                    raise
                return value
        if accelerated is not None:
            value = accelerated(p, q)
            if value is not None:
                if p.array_kind is ArrayKind.TORCH or q.array_kind is ArrayKind.TORCH:
                    return result_type(*value) if isinstance(value, tuple) else value
                return _to_callers_type(value, ArrayKind.NUMPY, result_type)
        check_shapes(p, q)
        a, b = as_common_tensors(p, q)
        with no_autocast(a.mean.device):
            of_pair = formula if have_densities(a, b) else _of_singular(formula, p, q)
            result = of_pair(a, b, *more, **named)
        return _to_callers_type(result, common_array_kind((p.array_kind, q.array_kind)), type(result))

    return function  # type: ignore[return-value]


def _of_singular(formula: Callable[..., Any], p: Gaussian, q: Gaussian) -> Callable[..., Any]:
    """A divergence of densities taken on the common support; another formula as it is, for it knows what to do."""
    apart = next((record.apart for record in RECORDS if record.name == formula.__name__), None)
    if apart is None:
        return formula
    eps = max(torch.finfo(x.dtype).eps for g in (p, q) for x in g.tensors())
    return on_common_support(formula, apart, eps)


# What else may have the divergence of what are not two Gaussians.
_OTHERS: dict[str, Callable[[Any, Any], Any]] = {"kl_divergence": kl_by_torch}


# What a docstring says where its own formula has nothing else to say.
_SECTIONS = {
    "Shape": """
        The broadcast batch shape of p and q.
    """,
    "Gradient": """
        Exact and twice differentiable, under ``torch.func`` transforms and ``torch.compile(fullgraph=True)``; of
        singular Gaussians along their support, and not under transforms.
    """,
    "Args": """
        p: Gaussians, or what :func:`as_gaussian` converts to them: distributions of torch, scipy, NumPyro and others.
        q: the same.
    """,
    "Returns": """
        A tensor, or a NumPy array if no tensor was given: NumPy, lists, tables, arrays of JAX.
    """,
    "Raises": """
        ShapeError: if the events differ or the batches do not broadcast.
        NoClosedForm: for what is not Gaussian.
        TypeError: for what stands for no distribution, or an argument that there is not.
    """,
}


def _to_callers_type(result: Any, kind: ArrayKind, result_type: Any) -> Any:
    if isinstance(result, tuple):
        return result_type(*(x if x is None else to_callers_type(x, kind) for x in result))
    return to_callers_type(result, kind)


def _check_arguments(
    name: str, names: list[str], positional: list[str], given: tuple[Any, ...], named: dict[str, Any]
) -> None:
    """Raise a TypeError for an argument that the formula does not have, whatever would have computed it.

    ``names`` are those of its arguments after p and q, ``positional`` those among them that need not be named.
    """
    unknown = [key for key in named if key not in names]
    if unknown:
        takes = (
            f"its further arguments are {', '.join(names)}." if names else "it takes two Gaussians and nothing else."
        )
        raise TypeError(f"{name} has no argument {unknown[0]!r}; {takes} {_INSTEAD.get(unknown[0], '')}".rstrip())
    if len(given) > 2 + len(positional):
        further = "".join(f" and {x}" for x in positional)
        call = call_of_arrays(f"{name}({{}})", given)
        build = "" if call is None else f" Build them: {call}, or the constructor that the scales belong to: {BUILD}."
        raise TypeError(f"{name} takes two Gaussians{further}, got {len(given)} arguments ({shapes_of(given)}).{build}")


def check_shapes(p: Gaussian | Mixture, q: Gaussian | Mixture, names: tuple[str, str] = ("p", "q")) -> None:
    """Raise a ShapeError, with the names, unless the events are equal and the batches broadcast."""
    check_events(p, q, names)
    if p.batch_shape != q.batch_shape:
        broadcast_shapes(
            p.batch_shape,
            q.batch_shape,
            error=lambda: (
                f"batches do not broadcast: {names[0]} has batch shape {tuple(p.batch_shape)}, {names[1]} has "
                f"{tuple(q.batch_shape)}  {_means(p, q, names)}."
            ),
        )


def check_events(p: Gaussian | Mixture, q: Gaussian | Mixture, names: tuple[str, str] = ("p", "q")) -> None:
    """Raise a ShapeError, with the names, unless the events are equal."""
    if p.event_shape != q.event_shape:
        raise ShapeError(
            f"{names[0]} has event shape {tuple(p.event_shape)}, {names[1]} has {tuple(q.event_shape)}  "
            f"{_means(p, q, names)}.{_event_hint(p, q, names)}"
        )


def _means(p: Gaussian | Mixture, q: Gaussian | Mixture, names: tuple[str, str]) -> str:
    return f"({names[0]}.mean {tuple(p.mean.shape)}, {names[1]}.mean {tuple(q.mean.shape)})"


def _event_hint(p: Gaussian | Mixture, q: Gaussian | Mixture, names: tuple[str, str]) -> str:
    for name, scalar, other in ((names[0], p, q), (names[1], q, p)):
        if not scalar.event_dims and other.event_dims:
            return (
                f" {name} is a batch of independent one-dimensional Gaussians. If its last dimensions are the "
                f"coordinates of one, say so: Independent({name}, {other.event_dims}) for a torch Normal, "
                f"event_dims={other.event_dims} here."
            )
    for name, fewer, other in ((names[0], p, q), (names[1], q, p)):
        call = _expanded(fewer, other.event_shape)
        if call:
            return f" Events do not broadcast. If each number of {name} stands for several coordinates, it is {call}."
    if p.event_dims != q.event_dims:
        return (
            " How many of a mean's last dimensions are one Gaussian's coordinates is event_dims: "
            f"{p.event_dims} for {names[0]}, {q.event_dims} for {names[1]}."
        )
    return ""


def _expanded(g: Gaussian | Mixture, event: torch.Size) -> str | None:
    """The call that gives ``g``, a Gaussian of fewer numbers, this event; None if there is none."""
    if isinstance(g, Mixture) or not isinstance(g.scale, Diagonal) or g.event_size >= event.numel():
        return None
    if not g.tensors():
        return f"Gaussian.standard({tuple(event)})" if isinstance(g, NumericGaussian) else None
    kind, value = g.scale.parameterization, g.scale.value
    parts: list[str | None] = []
    for name, x in (("mean", g.mean), (kind, value)):
        of_numpy = g.array_kind is ArrayKind.NUMPY
        parts.append(expansion(name, x.shape, event, of_numpy=of_numpy) if x.ndim else name)
    if None in parts:
        return None
    event_dims = f", event_dims={len(event)}" if len(event) > 1 else ""
    return f"Gaussian.from_{kind}({parts[0]}, {parts[1]}{event_dims})"


def as_common_tensors(p: Gaussian, q: Gaussian, dtype: torch.dtype | None = None) -> tuple[Gaussian, Gaussian]:
    """Both as tensors of one dtype (by default the one that they promote to, at least float32) and device."""
    uniform = p.uniform_dtype_and_device
    if dtype is None and uniform == q.uniform_dtype_and_device and uniform and uniform[0].itemsize >= 4:
        dtype, device = uniform
    else:
        tensors = [*p.tensors(), *q.tensors()]
        dtype, device = dtype or compute_dtype(tensors), common_device(tensors)
    if p.scale.is_diagonal and q.scale.is_diagonal:
        numeric = [isinstance(g.scale, Isotropic) for g in (p, q)]
        if any(numeric):
            # A Python number takes the other side's parameterization while it is still exact.
            common = common_parameterization(p.scale, q.scale)  # type: ignore[arg-type]
            p, q = (g.with_scale(g.scale.to(common)) if n else g for g, n in zip((p, q), numeric, strict=True))  # type: ignore[attr-defined]
    distributed = first_distributed([*p.tensors(), *q.tensors()])
    a, b = p.cast(dtype, device), q.cast(dtype, device)
    if distributed is None:
        return a, b
    if not (a.scale.is_diagonal and b.scale.is_diagonal):
        raise TypeError(
            f"of DTensors only diagonal Gaussians are compared, got {a.scale.parameterization} and "
            f"{b.scale.parameterization}: take to_local() of whole rows, or full_tensor()."
        )
    return tuple(x if g.tensors() else _on_mesh(x, distributed) for g, x in ((p, a), (q, b)))  # type: ignore[return-value]


def _on_mesh(g: Gaussian, like: Tensor) -> Gaussian:
    """A Gaussian of constants on the mesh of a distributed tensor."""
    scale = g.scale.map(lambda x, _: replicated(x, like), g.event_dims)
    return Gaussian(replicated(g.mean, like), scale, g.event_dims, g.array_kind)
