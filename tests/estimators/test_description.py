import re

import pandas as pd

from sklearnish.estimators._description import TableDescription, columns_told
from sklearnish.preprocessing import TableEncoder


def test_a_description_is_lines_and_a_table_of_html():
    columns = {"a<b": ("number", "a<b, a<b:missing"), "id": ("left out", "an id")}
    told = TableDescription(columns, "TableModule, 10 weights")
    assert str(told).splitlines() == [
        "a<b  number: a<b, a<b:missing",
        "id   left out: an id",
        "TableModule, 10 weights",
    ]
    html = told._repr_html_()
    cells = re.findall(r"<t[hd]>(.*?)</t[hd]>", html)
    assert cells[:6] == ["", "kind", "becomes", "a&lt;b", "number", "a&lt;b, a&lt;b:missing"]
    assert html.endswith("<p>TableModule, 10 weights</p></div>")


def test_columns_are_told_with_their_kind():
    table = pd.DataFrame({"x": [1.5, 2.5, 4.5, None], "job": list("abab"), "row": [1, 2, 3, 4]})
    encoder = TableEncoder(kinds={"row": "drop"}).fit(table)
    assert columns_told(encoder) == {
        "row": ("left out", "dropped by kinds"),
        "x": ("number", "x, x:missing"),
        "job": ("category", "job (3 codes)"),
    }
