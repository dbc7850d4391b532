"""Columns that may identify the rows of two models that are joined by their order, because none is called so."""

import shlex
import warnings
from pathlib import Path

from kullback.errors import PosteriorFileError
from kullback.io.ids import ids_of_column
from kullback.io.model import ROWS_AT_ONCE, Model
from kullback.io.named_column import NamedColumn
from kullback.io.text import printable

# How many columns are looked at, and how many a note names.
_MOST, _TOLD = 24, 3


def warn_of_possible_ids(a: Model, b: Model) -> None:
    """Warn if each of two models, which are joined by their order, has a column that may identify its rows."""
    if a.source == b.source:
        return
    first, second = _possible(a), _possible(b)
    if not (first and second):
        return
    shared = [name for name in first if name in second]
    one, other = (shared[0], shared[0]) if shared else (first[0], second[0])
    columns = [repr(printable(name)) for name in shared[:_TOLD] or [one, other]]
    chosen = shlex.quote(printable(one if one == other else f"{one},{other}"))
    are = f"column {columns[0]} may identify" if len(columns) == 1 else f"columns {', '.join(columns)} may identify"
    warnings.warn(
        f"rows are joined by their order, though {are} them. If so, say --id {chosen} (in Python, rename it to 'id'); "
        "if not, --by-order leaves out this note.",
        stacklevel=4,
    )


def _possible(model: Model) -> list[str]:
    """The column of ids that a model has; or else its columns of integers or strings, none of which repeats at once."""
    if model.has_ids:
        return [model.id_name]
    return [column.name for column in model.others[:_MOST] if _may_identify(column, len(model))]


def _may_identify(column: NamedColumn, rows: int) -> bool:
    """Whether the first values are integers or strings that are all different."""
    try:
        if rows < 2 or column.stored.shape != (rows,):
            return False
        ids = next(ids_of_column(column, Path(column.name), 0, min(rows, ROWS_AT_ONCE), ROWS_AT_ONCE))
    except (PosteriorFileError, MemoryError):
        return False
    return len(set(ids)) == len(ids)
