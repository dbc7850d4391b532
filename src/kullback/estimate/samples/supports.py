"""Whether p has rows where q may be 0: beyond an edge at which q ends abruptly, or far beyond all rows of q."""

import numpy as np

from kullback.estimate.samples.reading import Samples
from kullback.numerics.guard import in_function_transform

# The part of the rows of p beyond the range of q that is worth a warning: at an edge of q, and at any tail.
_BEYOND_AN_EDGE, _BEYOND_A_TAIL = 0.01, 0.25

# The fewest rows of p that make such a part, and of q that show an edge.
_FEWEST_BEYOND, _FEWEST_ROWS = 5, 50

# Of the outermost k rows of q and the 3k next ones, the ratio of the widths; it is 1/3 at the edge of a uniform
# density, and above 1 at the tail of a normal one.
_EDGE = 0.6


def beyond_support(x: Samples, y: Samples) -> tuple[list[str], bool]:
    """A warning if many rows of x lie, in some coordinate, where none of y does; and whether y ends abruptly there."""
    if in_function_transform():
        return [f"inside a transform of torch.func rows of {x.name} are not looked for where {y.name} may be 0"], False
    found = []
    columns = (samples.rows.detach().T.cpu().numpy() for samples in (x, y))
    for i, (of_x, of_y) in enumerate(zip(*columns, strict=True)):
        for side, sign in (("above the largest", -1.0), ("below the smallest", 1.0)):
            tail = np.sort(sign * of_y)
            beyond, edge = int((sign * of_x < tail[0]).sum()), _ends_abruptly(tail)
            part = beyond / len(of_x)
            if beyond >= _FEWEST_BEYOND and part >= (_BEYOND_AN_EDGE if edge else _BEYOND_A_TAIL):
                found.append((edge, part, i, f"{side} of {y.name} ({sign * tail[0]:.3g})"))
    if not found:
        return [], False
    edge, part, i, where = max(found)
    why = (
        f"where {y.name} ends abruptly, and the band has no upper end"
        if edge
        else f"and the estimate rests on the tail of {y.name}"
    )
    said = (
        f"{part:.0%} of the rows of {x.name} lie, in coordinate {i}, {where}, {why}: if the density is 0 there, the "
        "divergence is infinite"
    )
    return [said], edge


def _ends_abruptly(tail: np.ndarray) -> bool:
    """Whether the sorted values start as densely as they go on."""
    k = int(len(tail) ** 0.5)
    if len(tail) < _FEWEST_ROWS or 4 * k >= len(tail):
        return False
    return bool(tail[k] - tail[0] < _EDGE * (tail[4 * k] - tail[k]))
