"""The comparison of several models as a dictionary, and as lines of ``key: value``."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from kullback._version import __version__
from kullback.comparison.format import exact
from kullback.comparison.report.plain import SCHEMA
from kullback.io.output import finite

if TYPE_CHECKING:
    from kullback.comparison.compare_all import Comparisons


def to_dict(comparisons: "Comparisons") -> dict[str, Any]:
    """All results as lists, strings and numbers; None stands for a number that is not finite."""
    linkage, embedding = comparisons.linkage, comparisons.embedding
    return finite(
        {
            "schema": SCHEMA,
            "kullback": __version__,
            "names": list(comparisons.names),
            "findings": comparisons.findings(),
            "unaligned": comparisons.unaligned.tolist(),
            "aligned": comparisons.aligned.tolist(),
            "distances": comparisons.distances.tolist(),
            "linkage": None if linkage is None else linkage.tolist(),
            "groups": [list(group) for group in comparisons.groups],
            "embedding": None if embedding is None else embedding[0].tolist(),
            "pairs": [comparison.to_dict() for comparison in comparisons.pairs.values()],
        }
    )


def to_text(comparisons: "Comparisons") -> str:
    """One line of ``key: value`` for each result; models are called by their numbers, from 1."""
    lines = [f"model_{i}: {name}" for i, name in enumerate(comparisons.names, 1)]
    lines += [f"finding_{i}: {finding}" for i, finding in enumerate(comparisons.findings(), 1)]
    for key in ("unaligned", "aligned", "distances"):
        matrix: Tensor = getattr(comparisons, key)
        for i, j in comparisons.pairs:
            lines.append(f"{key}.{i + 1}.{j + 1}: {exact(float(matrix[i, j]))}")
            if key != "distances":
                lines.append(f"{key}.{j + 1}.{i + 1}: {exact(float(matrix[j, i]))}")
    lines += [f"group_{i}: {', '.join(group)}" for i, group in enumerate(comparisons.groups, 1)]
    return "\n".join(lines)
