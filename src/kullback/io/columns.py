"""The meaning of the columns of a file, derived from their names."""

import re
import shlex
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kullback.errors import PosteriorFileError
from kullback.io.advice import BY_ORDER
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.gaussians.scales.diagonal import Parameterization

    ScaleKind = Parameterization | Literal["covariance"]

_ROLES = {
    "mean": r"mu|mean|means|loc|qz_?m",
    "logvar": r"log[_-]?vars?|log[_-]?variances?|log[_-]?covs?|log[_-]?covariances?",
    "log_std": r"log[_-]?stds?|log[_-]?std[_-]?devs?|log[_-]?sigmas?|log[_-]?scales?",
    "std": r"std[_-]?devs?|stds?|scale",
    "variance": r"vars?|variances?|qz_?v",
    "covariance": r"covs?|covariances?|covariance_matri(?:x|ces)",
    "sigma": r"sigma_sq(?:uared)?|sigma2|sigmas?",
    "moments": r"moments",
    "id": r"ids?|row_?ids?|keys?|index",
}
NAMES: "dict[Literal['mean'] | ScaleKind, tuple[str, ...]]" = {
    "mean": ("mu", "mean", "loc"),
    "std": ("std", "stddev", "scale"),
    "variance": ("var", "variance"),
    "logvar": ("logvar", "log_var"),
    "log_std": ("log_std", "log_sigma", "log_scale"),
    "covariance": ("cov", "covariance"),
}
"""The names that errors and help list, by the role of a column. Other spellings are understood, too."""

# qzm and qzv are what scvi-tools calls the means and the variances that it saves.
# A role is a whole word of the name, or a word before the number of a model: mu, z_mean, encoder.logvar, mu_1, mu1.
_PATTERNS = {
    role: re.compile(rf"(?:^|(?<=[^a-z0-9]))(?:{names})(?=$|[^a-z0-9]|\d+$)") for role, names in _ROLES.items()
}
_CHECKPOINT = re.compile(r"(^|\.)(weight|bias|running_mean|running_var|num_batches_tracked)$")

_IMAGES = ("image", "images", "img")

SCALES: "tuple[Parameterization, ...]" = ("std", "variance", "logvar", "log_std")

SCALE_KINDS: "tuple[ScaleKind, ...]" = (*SCALES, "covariance")
"""What a column of scales may hold."""

_MAX_LISTED = 12


Shapes = Callable[[], Mapping[str, tuple[int, ...]]]
"""Gives the shapes of the columns that contain numbers, by name."""


@dataclass(frozen=True)
class ModelColumns:
    """The names of the columns that contain one model: its mean, and its scales by parameterization."""

    label: str
    mean: str
    scales: dict[str, str]


@dataclass(frozen=True)
class Named:
    """The columns of a model as the caller names them: its mean, its scale, and what the scale is."""

    mean: str
    scale: str
    kind: "ScaleKind"


def role(name: str) -> tuple[str, str] | None:
    """The role of a column, and the rest of its name, which is the label of its model; None without a role."""
    # The last word decides (mean_teacher.mu is the mean of mean_teacher), then the longest match (log_var, not var).
    found = [(match.end(), -match.start(), kind) for kind in _ROLES for match in _PATTERNS[kind].finditer(name.lower())]
    if not found:
        return None
    end, minus_start, kind = max(found)
    return kind, (name[: abs(minus_start)] + name[end:]).strip("_-./: ")


def named_model(named: Named, names: Iterable[str], shapes: "Shapes | None" = None) -> ModelColumns:
    """The model whose columns the caller names.

    Raises:
        PosteriorFileError: if there are no such columns.
    """
    names = list(names)
    for name in (named.mean, named.scale):
        check_named(name, names, shapes)
    return ModelColumns("", named.mean, {named.kind: named.scale})


def check_named(name: str, names: Iterable[str], shapes: "Shapes | None" = None) -> None:
    """Raise a :class:`PosteriorFileError` if there is no column of a name that the caller gives."""
    names = list(names)
    if name not in names:
        raise PosteriorFileError(f"there is no column {printable(name)!r}. Columns are {_listed(names, shapes)}.")


def models(names: Iterable[str], shapes: "Shapes | None" = None) -> list[ModelColumns]:
    """The models whose posteriors the columns contain, in the order of the file.

    Args:
        names: the names of the columns.
        shapes: for an error, gives the shapes of those that contain numbers.

    Raises:
        PosteriorFileError: if there is none, two columns have the same role, or the columns are weights of a network.
    """
    names = list(names)
    if any(_CHECKPOINT.search(name) for name in names):
        raise PosteriorFileError(
            "holds the weights of a model. kullback compares its outputs: save the means and scales that the encoder "
            "returns for your inputs."
        )
    found: dict[str, dict[str, str]] = {}
    for name in names:
        kind, label = role(name) or ("", "")
        if kind in ("", "id", "moments"):
            continue
        if kind in found.setdefault(label, {}):
            raise PosteriorFileError(f"columns {found[label][kind]!r} and {name!r} are both named as a {kind}.")
        found[label][kind] = name
    result = [
        ModelColumns(label, roles.pop("mean"), roles)
        for label, roles in found.items()
        if len(roles) > 1 and "mean" in roles
    ]
    if not result:
        kinds = {kind for roles in found.values() for kind in roles}
        lacking = "mean" if "mean" not in kinds else "scale" if kinds == {"mean"} else "mean and scale of one label"
        known = shapes() if shapes else {}
        raise PosteriorFileError(
            f"no posteriors found, there is no {lacking}. Columns are {_listed(names, lambda: known)}. Name the mean "
            f"{_alternatives('mean')}, and the scale {', '.join(map(_alternatives, SCALE_KINDS))}; or say which is "
            f"which: {_options(found, known)} (or "
            f"{', '.join(option(kind) for kind in SCALE_KINDS if kind != 'logvar')}); in Python, rename them."
        )
    return result


def _alternatives(kind: "Literal['mean'] | ScaleKind") -> str:
    *first, last = NAMES[kind]
    return f"{', '.join(first)} or {last}"


def option(kind: str) -> str:
    """The option that names the column of a mean or of a scale of this kind."""
    return f"--{kind.replace('_', '-')}"


def _options(found: Mapping[str, Mapping[str, str]], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The options that may be meant: of the columns whose role is known, or else the first two of one shape."""
    roles = [(kind, name) for named in found.values() for kind, name in named.items()]
    mean = next((name for kind, name in roles if kind == "mean"), None)
    kind, scale = next(((kind, name) for kind, name in roles if kind in SCALE_KINDS), ("logvar", None))
    mean = mean or next((name for name in shapes if name != scale), None)
    if scale is None and mean is not None and mean in shapes:
        kinds = {shapes[mean]: "logvar", (*shapes[mean], *shapes[mean][-1:]): "covariance"}
        kind, scale = next(
            ((kinds[shape], name) for name, shape in shapes.items() if name != mean and shape in kinds), (kind, None)
        )
    return " ".join(
        f"{option(of)} {'NAME' if name is None else shlex.quote(printable(name))}"
        for of, name in (("mean", mean), (kind, scale))
    )


def _listed(names: list[str], shapes: "Shapes | None") -> str:
    """The names of columns, with their shapes where these are known."""
    known = shapes() if shapes else {}
    shown = [f"{printable(n)!r}{f' {known[n]}' if n in known else ''}" for n in names[:_MAX_LISTED]]
    return ", ".join(shown) + ", …" * (len(names) > _MAX_LISTED) or "none"


def uncounted(names: Iterable[str]) -> str:
    """Why columns of single numbers are not read as the coordinates of one model: which of them are not there."""
    numbered: dict[str, dict[int, str]] = {}
    for name in names:
        kind, label = role(name) or ("", "")
        if label.isdecimal() and kind in ("mean", "sigma", *SCALES):
            numbered.setdefault(kind, {})[int(label)] = name
    if len(numbered) > 2:
        return f"give them one kind of scale, not {' and '.join(kind for kind in numbered if kind != 'mean')}"
    everyone = {number for of in numbered.values() for number in of}
    wanted = range(min(everyone, default=0) and 1, max(everyone, default=0) + 1)
    lacking = [
        re.sub(r"\d+(?=\D*$)", str(number), next(iter(of.values())))
        for of in numbered.values()
        for number in wanted
        if number not in of
    ]
    listed = ", ".join(repr(printable(name)) for name in lacking[:_MAX_LISTED]) + ", …" * (len(lacking) > _MAX_LISTED)
    return f"there is no {listed}" if lacking else "number the means and the scales alike"


def scale_column(model: ModelColumns, scale: "Parameterization | None") -> "tuple[str, Parameterization]":
    """The name of the column of a model's scale, and its parameterization.

    Args:
        model: the columns of the model.
        scale: the parameterization to read if the names do not determine it: of ``sigma``, or of several scales.

    Raises:
        PosteriorFileError: if neither the names nor ``scale`` determine it.
    """
    named = [kind for kind in SCALES if kind in model.scales]
    if len(named) == 1:
        return model.scales[named[0]], named[0]
    if scale in named:
        return model.scales[scale], scale
    if named:
        columns = ", ".join(repr(model.scales[kind]) for kind in named)
        raise PosteriorFileError(
            f"there is more than one scale ({columns}). Choose one: --scale {'|'.join(named)}, in Python scale=."
        )
    if scale:
        return model.scales["sigma"], scale
    if "sigma" not in model.scales:
        raise PosteriorFileError(f"column {model.scales['covariance']!r} holds no covariances of {model.mean!r}.")
    raise PosteriorFileError(
        f"column {model.scales['sigma']!r} may hold standard deviations, variances or log-variances. "
        f"Say which: --scale {'|'.join(SCALES)}, in Python scale=."
    )


def id_column(names: Iterable[str], label: str, labels: Iterable[str]) -> str | None:
    """The name of the column that identifies the rows of the model with this label; None if there is none.

    A column with the label of the model comes before ``id``, and ``id`` before any other. A warning names columns such
    as ``image_id`` that are left out so.

    Raises:
        PosteriorFileError: if several other columns may identify the rows.
    """
    taken = set(labels) - {""}
    ids = [(name, of) for name in names for kind, of in [role(name) or ("", "")] if kind == "id"]
    for own in ([n for n, of in ids if of and of == label], [n for n, _ in ids if n.lower() == "id"]):
        if own:
            others = [n for n, of in ids if n.lower().endswith("_id") and n != own[0] and of not in taken]
            if others:
                listed = ", ".join(repr(printable(n)) for n in others)
                warnings.warn(f"rows are identified by {printable(own[0])!r}, not by {listed}", stacklevel=2)
            return own[0]
    common = [n for n, of in ids if of not in taken]
    if len(common) > 1:
        raise PosteriorFileError(
            f"columns {', '.join(map(repr, common))} may all identify the rows. Say which: --id NAME (in Python, "
            f"rename it to 'id'); or join rows by order: {BY_ORDER}."
        )
    return common[0] if common else None


def image_column(names: Iterable[str]) -> str | None:
    """The name of the column that contains the inputs as images; None if there is none."""
    return next((name for name in names if name.lower() in _IMAGES), None)
