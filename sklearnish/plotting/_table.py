"""Rows of a DataFrame, drawn as a table as wide and high as the axes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearnish.plotting import _axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.table import Table

Column = tuple[str, list[str]]
"""A name and the text of the cells."""

_WIDEST = 14
"""Characters of a cell; what is longer is cut off."""

_PADDING = 2
"""Characters of room beside the text of a cell."""


def draw(
    ax: "Axes", frame: "pd.DataFrame", labels: Sequence[str] | None, label_name: str
) -> "Table":
    """Draw the columns for which there is room, and last the labels, in another colour."""
    width, height = _axes.size_of(ax)
    size = _axes.font_size(_axes.text_height(len(frame) + 1, 1), height)
    room = width / _axes.text_width(1, size)
    columns = [(str(name), _cells(column)) for name, column in frame.items()]
    last = [] if labels is None else [(label_name, [*labels])]
    columns = [*_that_fit(columns, room - sum(map(_wide, last))), *last]
    names, cells = zip(*columns, strict=True)
    table = ax.table(
        cellText=[[_axes.cut(cell, _WIDEST) for cell in row] for row in zip(*cells, strict=True)],
        colLabels=[_axes.cut(name, _WIDEST) for name in names],
        colWidths=[_wide(column) / room for column in columns],
        cellLoc="right",
        loc="upper left",
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(size)
    ink = ax.xaxis.label.get_color()
    for (row, column), cell in table.get_celld().items():
        cell.set(height=_axes.text_height(1, size) / height, linewidth=0.5, edgecolor=ink)
        is_label = labels is not None and column == len(columns) - 1
        weight = "bold" if row == 0 else "normal"
        cell.set_text_props(color=_axes.COLORS[1] if is_label else ink, weight=weight)
        cell.get_text().set_parse_math(False)
    return table


def _that_fit(columns: list[Column], room: float) -> list[Column]:
    """Return the first columns that are no wider than the room, and say how many more there are."""
    ends = np.cumsum([_wide(column) for column in columns])
    if ends[-1] <= room:
        return columns
    fit = max(1, int(np.searchsorted(ends, room - _WIDEST, side="right")))
    more = f"... {len(columns) - fit} more"
    return [*columns[:fit], (more, ["..."] * len(columns[0][1]))]


def _wide(column: Column) -> int:
    """Count the characters that a column is wide."""
    name, cells = column
    return min(_WIDEST, max(map(len, [name, *cells]))) + _PADDING


def _cells(column: "pd.Series[Any]") -> list[str]:
    """Write the values of a column, each in one line; a missing one as nothing."""
    pairs = zip(column, column.isna(), strict=True)
    return ["" if missing else _written(value) for value, missing in pairs]


def _written(value: Any) -> str:
    """Write a value in one line."""
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return " ".join(str(value).split())
