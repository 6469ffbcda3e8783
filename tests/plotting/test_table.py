import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from sklearnish.plotting import _table

FRAME = pd.DataFrame(
    {
        "number": [1.23456789, np.nan, 3],
        "whole": [123456789, 2, 3],
        "text": ["$x$", None, "a text that is much too long"],
        "day": pd.to_datetime(["2020-01-01", None, "2021-01-01"]),
    }
)


def cells(table):
    rows = {}
    for (row, _), cell in sorted(table.get_celld().items()):
        rows.setdefault(row, []).append(cell.get_text().get_text())
    return list(rows.values())


def test_values_and_gaps():
    _, ax = plt.subplots(figsize=(12, 4))
    head, *rows = cells(_table.draw(ax, FRAME[["number", "whole", "text"]], ["a", "b", "c"], "y"))
    assert head == ["number", "whole", "text", "y"]
    assert rows == [
        ["1.235", "123456789", "$x$", "a"],
        ["", "2", "", "b"],
        ["3", "3", "a text that i…", "c"],
    ]


def test_a_value_is_one_line():
    frame = pd.DataFrame({"v": [np.arange(2), None], "t": ["two\nlines", "x"]})
    _, ax = plt.subplots(figsize=(12, 4))
    assert cells(_table.draw(ax, frame, None, ""))[1:] == [["[0 1]", "two lines"], ["", "x"]]


def test_columns_without_room_are_counted():
    frame = pd.DataFrame(np.zeros((2, 60)), columns=[f"column{i}" for i in range(60)])
    _, ax = plt.subplots(figsize=(6, 3))
    head = cells(_table.draw(ax, frame, ["a", "b"], "label"))[0]
    shown = len(head) - 2
    assert head[-2:] == [f"... {60 - shown} more", "label"]
    assert head[:shown] == [f"column{i}" for i in range(shown)]


@pytest.mark.parametrize(("size", "n"), [((4, 3), 1), ((6.4, 4.8), 16), ((12, 2), 5)])
def test_text_stays_in_its_cell_and_the_table_in_its_figure(n, size):
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    ax.set_axis_off()
    table = _table.draw(ax, pd.concat([FRAME] * 6)[:n], ["label"] * n, "target")
    figure.canvas.draw()
    for (row, _), cell in table.get_celld().items():
        text, box = cell.get_text().get_window_extent(), cell.get_window_extent()
        assert text.width <= box.width
        assert row > 0 or text.height <= box.height
        assert box.x1 <= figure.bbox.x1 + 1
