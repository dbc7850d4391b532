"""Models whose means and scales are spread over columns, or share one: wide tables, and moments side by side."""

import warnings
from collections.abc import Mapping

from kullback.io.columns import SCALES, ModelColumns, role
from kullback.io.stored import Stored
from kullback.io.text import printable
from kullback.io.views import HalfOfChannels, side_by_side

Gathered = tuple[dict[str, Stored], list[ModelColumns]]
"""Further columns by name, and the models that they are of."""


def gathered(columns: Mapping[str, Stored], path: object, *, by_label: bool = False) -> Gathered | None:
    """The models of a wide table, or of moments, with their columns; None for other columns.

    A wide table has one column for each coordinate: ``mu_0``, ``mu_1``, … and ``logvar_0``, ``logvar_1``, …, numbered
    from 0 or from 1 without gaps, the scales as the means. ``moments`` are the means and after them the log-variances,
    side by side on the axis after that of the rows, as encoders of latent diffusion return them.

    Args:
        columns: the columns of a data set.
        path: its name, for a warning that a table is taken for a wide one.
        by_label: whether models are chosen by their labels, so that ``mu_0`` and ``mu_1`` are of two of them.
    """
    return (None if by_label else _of_wide(columns, path)) or _of_moments(columns)


def _of_wide(columns: Mapping[str, Stored], path: object) -> Gathered | None:
    groups: dict[str, dict[str, dict[int, str]]] = {}
    for name in columns:
        kind, label = role(name) or ("", "")
        if kind not in ("mean", "sigma", *SCALES):
            continue
        number = label[len(label.rstrip("0123456789")) :]
        if not number.isdecimal():
            return None
        numbered = groups.setdefault(label.removesuffix(number).rstrip("_-./: "), {}).setdefault(kind, {})
        if int(number) in numbered:
            return None
        numbered[int(number)] = name
    found: dict[str, Stored] = {}
    models = []
    for label, kinds in groups.items():
        numbers = kinds.get("mean", {}).keys()
        is_counted = len(numbers) > 1 and set(numbers) in ({*range(len(numbers))}, {*range(1, len(numbers) + 1)})
        if not is_counted or len(kinds) < 2 or any(numbered.keys() != numbers for numbered in kinds.values()):
            return None
        names = {kind: [numbered[i] for i in sorted(numbered)] for kind, numbered in kinds.items()}
        if any(len(columns[of[0]].shape) != 1 for of in names.values()):
            return None
        whole = {kind: f"{of[0]} … {of[-1]}" for kind, of in names.items()}
        found |= {whole[kind]: side_by_side([columns[name] for name in of]) for kind, of in names.items()}
        mean = whole.pop("mean")
        models.append(ModelColumns(label, mean, whole))
    if not models:
        return None
    told = ", ".join(printable(name) for name in found)
    warnings.warn(
        f"{printable(path)}: columns {told} are taken for the coordinates of {_counted(models)}. If each is a model, "
        "choose with --models, or in Python give the columns of one.",
        stacklevel=4,
    )
    return found, models


def _counted(models: list[ModelColumns]) -> str:
    return "one model" if len(models) == 1 else f"{len(models)} models"


def _of_moments(columns: Mapping[str, Stored]) -> Gathered | None:
    roles = [(name, *of) for name in columns if (of := role(name))]
    if any(kind == "mean" for _, kind, _ in roles):
        return None
    found: dict[str, Stored] = {}
    models = []
    for name, kind, label in roles:
        if kind != "moments":
            continue
        mean, logvar = f"mean of {name}", f"logvar of {name}"
        found |= {half: HalfOfChannels(columns[name], name, i) for i, half in enumerate((mean, logvar))}
        models.append(ModelColumns(label, mean, {"logvar": logvar}))
    return (found, models) if models else None
