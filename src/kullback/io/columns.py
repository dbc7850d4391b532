"""The meaning of the columns of a file, derived from their names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kullback.errors import PosteriorFileError

if TYPE_CHECKING:
    from kullback.gaussians.scales.diagonal import Parameterization

_ROLES = {
    "mean": r"mu|mean|means|loc",
    "logvar": r"log[_-]?vars?|log[_-]?variances?|log[_-]?covs?|log[_-]?covariances?",
    "log_std": r"log[_-]?stds?|log[_-]?std[_-]?devs?|log[_-]?sigmas?|log[_-]?scales?",
    "std": r"std[_-]?devs?|stds?|scale",
    "variance": r"vars?|variances?",
    "covariance": r"covs?|covariances?|covariance_matri(?:x|ces)",
    "sigma": r"sigma_sq(?:uared)?|sigma2|sigmas?",
    "id": r"ids?|row_?ids?|keys?|index",
}
# A role is a whole word of the name, or a word before the number of a model: mu, z_mean, encoder.logvar, mu_1, mu1.
_PATTERNS = {
    role: re.compile(rf"(?:^|(?<=[^a-z0-9]))(?:{names})(?=$|[^a-z0-9]|\d+$)") for role, names in _ROLES.items()
}
_CHECKPOINT = re.compile(r"(^|\.)(weight|bias|running_mean|running_var|num_batches_tracked)$")

_IMAGES = ("image", "images", "img")

SCALES: "tuple[Parameterization, ...]" = ("std", "variance", "logvar", "log_std")


@dataclass(frozen=True)
class ModelColumns:
    """The names of the columns that contain one model: its mean, and its scales by parameterization."""

    label: str
    mean: str
    scales: dict[str, str]


def role(name: str) -> tuple[str, str] | None:
    """The role of a column, and the rest of its name, which is the label of its model; None without a role."""
    # The last word decides (mean_teacher.mu is the mean of mean_teacher), then the longest match (log_var, not var).
    found = [(match.end(), -match.start(), kind) for kind in _ROLES for match in _PATTERNS[kind].finditer(name.lower())]
    if not found:
        return None
    end, minus_start, kind = max(found)
    return kind, (name[: abs(minus_start)] + name[end:]).strip("_-./: ")


def models(names: Iterable[str]) -> list[ModelColumns]:
    """The models whose posteriors the columns contain, in the order of the file.

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
        if not kind or kind == "id":
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
        listed = ", ".join(map(repr, names[:12])) + ", …" * (len(names) > 12) or "none"
        raise PosteriorFileError(
            f"no posteriors found, there is no {lacking}. Columns are {listed}. Name the mean mu, mean or loc, and the "
            "scale std, stddev or scale, var or variance, logvar or log_var, log_std, log_sigma or log_scale, cov or "
            "covariance."
        )
    return result


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

    A column with the label of the model comes before ``id``, and ``id`` before any other.

    Raises:
        PosteriorFileError: if several other columns may identify the rows.
    """
    taken = set(labels) - {""}
    ids = [(name, of) for name in names for kind, of in [role(name) or ("", "")] if kind == "id"]
    for own in ([n for n, of in ids if of and of == label], [n for n, _ in ids if n.lower() == "id"]):
        if own:
            return own[0]
    common = [n for n, of in ids if of not in taken]
    if len(common) > 1:
        raise PosteriorFileError(
            f"columns {', '.join(map(repr, common))} may all identify the rows. Rename the right one to 'id', or join "
            "rows by order: --by-order."
        )
    return common[0] if common else None


def image_column(names: Iterable[str]) -> str | None:
    """The name of the column that contains the inputs as images; None if there is none."""
    return next((name for name in names if name.lower() in _IMAGES), None)
