"""``.csv``, with or without a header, separated by commas, semicolons or tabs."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from kullback.io.arrow import arrow_array, one_of_each
from kullback.io.views import InMemory

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns

SUFFIXES, HOLDS, IS_TABLE = (".csv",), "samples", True


def read(path: Path) -> "Columns":
    """The columns of the table."""
    import pyarrow.csv

    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        first = file.readline()
    delimiter = max(",;\t", key=first.count)
    cells = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
    # A first row of numbers is data, unless it is 0, 1, 2, …: the names that pandas gives to columns without names.
    counted = [cell for cell in cells if cell] == [str(i) for i in range(len(cells) - cells.count(""))]
    headless = all(_is_number(cell) for cell in cells if cell) and not counted
    table = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(autogenerate_column_names=headless),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
    )
    return {name: InMemory(arrow_array(table.column(name), name)) for name in one_of_each(table.column_names)}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
