"""The columns that come out."""

from sklearnish.preprocessing._encoding.outputs import (
    Output,
    TableLayout,
    distinct,
    layout_of,
    missing,
)


def test_a_layout_says_where_each_role_is():
    outputs = [
        Output("age", "number"),
        missing("age"),
        Output("job", "category", ("job:unknown", "job=cook")),
        Output("km", "number"),
    ]
    assert layout_of(outputs) == TableLayout((0, 3), (1,), ((2, 2),))
    assert outputs[1].name == "age:missing"


def test_names_that_come_again_are_numbered():
    assert distinct(["a", "b", "a", "a:2", "a"]) == ["a", "b", "a:2", "a:2:2", "a:3"]
