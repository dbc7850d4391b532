"""What the columns of a file mean, by the names that people give them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kullback.errors import PosteriorFileError

if TYPE_CHECKING:
    from kullback.scale import Parameterisation

_ROLES = {
    "mean": r"mu|mean|means|loc",
    "logvar": r"log[_-]?vars?|log[_-]?variances?",
    "std": r"stds?|std[_-]?devs?|scale",
    "variance": r"vars?|variances?",
    "sigma": r"sigmas?|sigma2|sigma_sq(?:uared)?",
    "id": r"ids?|row_?ids?|keys?|index",
}
# A role stands alone between separators, or before the number of a model: mu, z_mean, encoder.logvar, mu_1, mu1.
_PATTERNS = {
    role: re.compile(rf"(?:^|(?<=[^a-z0-9]))(?:{names})(?=$|[^a-z0-9]|\d+$)") for role, names in _ROLES.items()
}

SCALES: "tuple[Parameterisation, ...]" = ("std", "variance", "logvar")


@dataclass(frozen=True)
class ModelColumns:
    """The columns of one model's posteriors."""

    label: str
    mean: str
    scale: str
    given: "Parameterisation"


def role(name: str) -> tuple[str, str] | None:
    """The role that a column's name speaks of, and what is left of the name: the label of its model."""
    lowered = name.lower()
    # Log-variance first: "log_var" also ends in "var".
    for kind in ("logvar", "sigma", "std", "variance", "mean", "id"):
        match = _PATTERNS[kind].search(lowered)
        if match:
            return kind, (name[: match.start()] + name[match.end() :]).strip("_-./: ")
    return None


def id_column(names: Iterable[str]) -> str | None:
    """The column that identifies rows, if there is one."""
    return next((name for name in names if role(name) == ("id", "")), None)


def models(names: Iterable[str], where: str, scale: "Parameterisation | None") -> list[ModelColumns]:
    """The models whose posteriors the columns are, in the order of the file.

    Args:
        names: the names of the columns.
        where: the file, for messages.
        scale: which scale to read, where the names leave it open: for ``sigma``, or if there are several.
    """
    names = list(names)
    found: dict[str, dict[str, str]] = {}
    for name in names:
        understood = role(name)
        if understood and understood[0] != "id":
            kind, label = understood
            if kind in found.setdefault(label, {}):
                raise PosteriorFileError(f"{where}: columns {found[label][kind]!r} and {name!r} both say {kind}.")
            found[label][kind] = name
    result = []
    for label, roles in found.items():
        if "mean" in roles and len(roles) > 1:
            result.append(ModelColumns(label, roles["mean"], *_scale_column(roles, where, scale)))
    if not result:
        kinds = {kind for roles in found.values() for kind in roles}
        lacking = "mean" if "mean" not in kinds else "scale" if kinds == {"mean"} else "mean and scale of one label"
        columns = ", ".join(map(repr, names)) or "none"
        raise PosteriorFileError(
            f"{where}: no posteriors found, there is no {lacking}. Columns are {columns}; "
            "call the mean mu, mean or loc, and the scale std, stddev or scale; var or variance; logvar or log_var."
        )
    return result


def _scale_column(
    roles: dict[str, str], where: str, scale: "Parameterisation | None"
) -> "tuple[str, Parameterisation]":
    scales = [given for given in SCALES if given in roles]
    if len(scales) == 1:
        return roles[scales[0]], scales[0]
    if scale in scales:
        return roles[scale], scale
    if scales:
        columns = ", ".join(repr(roles[given]) for given in scales)
        raise PosteriorFileError(f"{where}: more than one scale ({columns}). Say which: --scale {'|'.join(scales)}.")
    if scale:
        return roles["sigma"], scale
    raise PosteriorFileError(
        f"{where}: column {roles['sigma']!r} may hold standard deviations, variances or log-variances. "
        "Say which: --scale std|variance|logvar."
    )
