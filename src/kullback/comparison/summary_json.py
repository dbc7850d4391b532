"""Summaries as JSON and back, to the last bit: for other processes, other machines and later days.

A text says its format and its version, and the SHA-256 of its content. The content follows the fields of the data
classes, which ``docs/formats.md`` describes: whoever changes one of them raises the version and describes the change.
"""

import base64
import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from kullback._version import __version__
from kullback.comparison.pair import Pair
from kullback.errors import PosteriorFileError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.base import Scale
from kullback.gaussians.scales.diagonal import Diagonal, Isotropic
from kullback.gaussians.scales.factor import Factor, FactorOfCovariance
from kullback.gaussians.scales.low_rank import LowRank
from kullback.gaussians.scales.matrix import Dense, Precision, Tril
from kullback.io.columns import SCALES
from kullback.io.text import printable

T = TypeVar("T")

VERSION = 1

_MATRICES = {cls.__name__: cls for cls in (Dense, Tril, Precision, LowRank, Factor, FactorOfCovariance)}

# The tensors, by the name of their type: eight bytes for a number, of which the least comes first.
_DTYPES = {"float64": np.dtype("<f8"), "int64": np.dtype("<i8")}


def to_json(x: Any, name: str) -> str:
    """A data class as the text of a format of this name."""
    content = _text(_encoded(x))
    head = {"format": name, "version": VERSION, "kullback": __version__, "sha256": _digest(content)}
    return f'{_text(head)[:-1]},"content":{content}}}'


def from_json(text: str, kind: type[T], name: str) -> T:
    """The data class that :func:`to_json` wrote.

    Raises:
        PosteriorFileError: if the text is of another format or version, or damaged; the message says where.
    """
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused(name, f"it is no JSON, or not all of it: {printable(error)}") from None
    if not isinstance(whole, dict) or whole.get("format") != name:
        found = whole.get("format") if isinstance(whole, dict) else None
        raise _refused(name, f"its format is {printable(found)!r}")
    if whole.get("version") != VERSION:
        raise _refused(
            name,
            f"it has version {printable(whole.get('version'))}, and kullback {__version__} reads version {VERSION}. "
            f"It was written by kullback {printable(whole.get('kullback'))}",
        )
    if "content" not in whole or whole.get("sha256") != _digest(_text(whole["content"])):
        raise _refused(name, "it is damaged: its content does not have the SHA-256 that it states")
    try:
        found = _decoded(whole["content"], kind, "content")
    except _Unexpected as error:
        raise _refused(name, str(error)) from None
    assert isinstance(found, kind)
    return found


def _refused(name: str, reason: str) -> PosteriorFileError:
    return PosteriorFileError(f"this text cannot be read as {name}: {reason}.")


def _text(x: Any) -> str:
    return json.dumps(x, separators=(",", ":"), allow_nan=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _encoded(x: Any) -> Any:
    if isinstance(x, Tensor):
        dtype = str(x.dtype).removeprefix("torch.")
        data = x.contiguous().numpy().astype(_DTYPES[dtype], copy=False).tobytes()
        return {"shape": list(x.shape), dtype: base64.b64encode(data).decode()}
    if isinstance(x, Gaussian):
        return {"event_dims": x.event_dims, "mean": _encoded(x.mean), "scale": _encoded_scale(x.scale, x.event_dims)}
    if dataclasses.is_dataclass(x):
        return {field.name: _encoded(getattr(x, field.name)) for field in dataclasses.fields(x)}
    if isinstance(x, Mapping):
        return {str(getattr(key, "value", key)): _encoded(value) for key, value in x.items()}
    if isinstance(x, (tuple, list)):
        return [_encoded(value) for value in x]
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    return int(x) if isinstance(x, np.integer) else x


def _encoded_scale(scale: Scale, event_dims: int) -> dict[str, Any]:
    if isinstance(scale, Isotropic):
        return {"kind": scale.parameterization, "number": _encoded(scale.number)}
    kind = scale.parameterization if isinstance(scale, Diagonal) else type(scale).__name__
    return {"kind": kind, "tensors": [_encoded(x) for x, _ in scale.parts(event_dims)]}


class _Unexpected(Exception):
    """Something else was expected at a place of the text."""

    def __init__(self, where: str, expected: str, got: Any) -> None:
        super().__init__(f"{where}: expected {expected}, got {printable(repr(got)[:60])}")


def _decoded(x: Any, kind: Any, where: str) -> Any:
    """What is written at a place, of the type that it has in a data class."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Tensor:
        return _tensor(x, where)
    if kind is Gaussian:
        return _gaussian(x, where)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        values = _fields(x, [field.name for field in dataclasses.fields(kind)], where)
        return kind(**{name: _decoded(value, hints[name], f"{where}.{name}") for name, value in values.items()})  # type: ignore[operator]
    if origin is types.UnionType:
        if x is None and type(None) in arguments:
            return None
        tensor = Tensor in arguments and isinstance(x, dict)
        return _decoded(x, Tensor if tensor else next(of for of in arguments if of is not Tensor), where)
    if origin in (dict, Mapping):
        if not isinstance(x, dict):
            raise _Unexpected(where, "an object", x)
        return {
            _key(key, arguments[0], where): _decoded(value, arguments[1], f"{where}.{key}") for key, value in x.items()
        }
    if origin is tuple:
        return _tuple(x, arguments, where)
    return _plain(x, kind, where)


def _fields(x: Any, names: Sequence[str], where: str) -> dict[str, Any]:
    if not isinstance(x, dict) or set(x) != set(names):
        raise _Unexpected(where, f"an object with {', '.join(names)}", list(x) if isinstance(x, dict) else x)
    return x


def _key(key: str, kind: Any, where: str) -> Any:
    if kind is str:
        return key
    known = {str(getattr(one, "value", one)): one for one in (kind if kind is Pair else typing.get_args(kind))}
    if key not in known:
        raise _Unexpected(where, f"keys among {', '.join(known)}", key)
    return known[key]


def _tuple(x: Any, kinds: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(x, list):
        raise _Unexpected(where, "a list", x)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(x)
    if len(kinds) != len(x):
        raise _Unexpected(where, f"{len(kinds)} values", x)
    return tuple(_decoded(value, kind, f"{where}[{i}]") for i, (value, kind) in enumerate(zip(x, kinds, strict=True)))


def _plain(x: Any, kind: Any, where: str) -> Any:
    """A number or a string; the id of a row is an integer or a string."""
    if kind is float and x in ("inf", "-inf", "nan"):
        return float(x)
    allowed = {float: (int, float), Any: (int, str)}.get(kind, kind)
    if isinstance(x, bool) or not isinstance(x, allowed):
        raise _Unexpected(where, {float: "a number", int: "an integer", str: "a string"}.get(kind, "an id"), x)
    return float(x) if kind is float else x


def _tensor(x: Any, where: str) -> Tensor:
    name = next((name for name in _DTYPES if isinstance(x, dict) and name in x), "float64")
    fields = _fields(x, ["shape", name], where)
    shape = _tuple(fields["shape"], (int, ...), where)
    try:
        data = base64.b64decode(fields[name], validate=True)
        array = np.frombuffer(data, _DTYPES[name]).reshape([max(0, n) for n in shape])
    except (TypeError, ValueError):
        raise _Unexpected(where, f"base64 of {math.prod(shape):,} numbers of eight bytes", fields[name]) from None
    # A copy in the order of bytes of this machine, which can be written.
    return torch.from_numpy(array.astype(name))


def _gaussian(x: Any, where: str) -> Gaussian:
    fields = _fields(x, ["event_dims", "mean", "scale"], where)
    event_dims = _plain(fields["event_dims"], int, f"{where}.event_dims")
    return Gaussian(_tensor(fields["mean"], f"{where}.mean"), _scale(fields["scale"], f"{where}.scale"), event_dims)


def _scale(x: Any, where: str) -> Scale:
    given = "number" if isinstance(x, dict) and "number" in x else "tensors"
    fields = _fields(x, ["kind", given], where)
    kind = fields["kind"]
    if given == "number" and kind in SCALES:
        return Isotropic(_plain(fields["number"], float, f"{where}.number"), kind)
    tensors = _tuple(fields.get("tensors"), (Tensor, ...), f"{where}.tensors")
    if kind in SCALES and len(tensors) == 1:
        return Diagonal(tensors[0], kind)
    if kind in _MATRICES and len(tensors) == len(dataclasses.fields(_MATRICES[kind])):
        return _MATRICES[kind](*tensors)
    raise _Unexpected(where, f"a kind among {', '.join([*SCALES, *_MATRICES])}, and its tensors", kind)
