import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sklearnish.data._arrow.columns import to_field
from sklearnish.data._arrow.frames import as_arrow, to_frame

TEXT = pa.chunked_array([["a", None], ["b", "a"]])
COLUMNS = {
    "text": TEXT.dictionary_encode(),
    "kind": TEXT.dictionary_encode(),
    "day": pa.chunked_array([pa.array([0, None, 2, 3], pa.date32())]),
    "x": np.array([1.0, np.nan, 2.0, 3.0]),
    "pair": np.arange(8.0).reshape(4, 2),
}
SCHEMA = {name: to_field(as_arrow(column).type) for name, column in COLUMNS.items()}
SCHEMA["text"] = to_field(pa.string())


def test_pandas_shows_columns_as_it_reads_them():
    frame = to_frame(COLUMNS, SCHEMA, "pandas")
    assert frame["text"].dtype == pd.Series(["a"]).dtype
    assert frame["kind"].cat.categories.tolist() == ["a", "b"]
    assert frame["day"].dt.year.iloc[0] == 1970
    assert frame["pair"].iloc[1].tolist() == [2.0, 3.0]
    assert frame.isna().sum().tolist() == [1, 1, 1, 1, 0]


def test_polars_and_arrow_keep_types():
    frame = to_frame(COLUMNS, SCHEMA, "polars")
    assert frame["text"].dtype == pl.String
    assert isinstance(frame["kind"].dtype, pl.Categorical)
    table = to_frame(COLUMNS, SCHEMA, "arrow")
    assert table["text"].type == table["kind"].type == pa.dictionary(pa.int32(), pa.string())
    assert table["pair"].type == pa.list_(pa.float64(), 2)
    assert [column.null_count for column in table.columns] == [1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (text, held)
        for text in (pa.string(), pa.large_string())
        for held in (text, pa.dictionary(pa.int8(), text), pa.dictionary(pa.uint32(), text))
    ]
    + [(pa.string_view(), pa.string_view())],  # of which Arrow has no dictionaries
)
def test_text_of_any_type_is_coded_alike(text, held):
    column = pa.chunked_array([pa.array(["x", None, "y"], text)]).cast(held)
    table = to_frame({"a": column}, {"a": to_field(column.type)}, "arrow")
    assert table["a"].type == pa.dictionary(pa.int32(), pa.string())
    assert table["a"].to_pylist() == ["x", None, "y"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1, "x"], r": 1 \(int\) in row 0 of these and 'x' \(str\) in row 1 of these\. Convert"),
        ([None, np.nan, "x", 2.5], r"'x' \(str\) in row 2 of these and 2.5 \(float\) in row 3"),
        ([pd.Period("2020"), pd.Period("2021")], r"no column\. Convert them to one type"),
    ],
)
def test_objects_of_several_types_are_refused_by_name_and_row(values, told):
    column = np.empty(len(values), dtype=object)
    column[:] = values
    with pytest.raises(ValueError, match=rf"Column 'a' holds Python objects.*{told}"):
        as_arrow(column, "a")


def test_text_that_is_no_unicode_and_complex_numbers_are_told():
    with pytest.raises(ValueError, match=r"Column 'a' holds text that is no Unicode, .*ud800"):
        as_arrow(np.array(["b", "\ud800"], dtype=object), "a")
    with pytest.raises(ValueError, match=r"Column 'a' holds complex numbers.*numpy\.real"):
        as_arrow(np.array([1j, 2]), "a")
    frame = to_frame({"a": np.array([1j, 2])}, {"a": to_field(pa.float64())}, "pandas")
    assert frame["a"].tolist() == [1j, 2]


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_a_zone_that_nobody_knows_is_told(kind):
    for zone in ("UTC", "Europe/Berlin"):
        times = pa.chunked_array([pa.array([1, None], pa.timestamp("us", zone))])
        assert len(to_frame({"when": times}, {"when": to_field(times.type)}, kind)) == 2
    times = times.cast(pa.timestamp("us", "Mars/Base"))
    with pytest.raises(ValueError, match="Column 'when' holds times of the zone 'Mars/Base'"):
        to_frame({"when": times}, {"when": to_field(times.type)}, kind)


def test_objects_stay_objects_whatever_the_rows():
    for values in ([1, None], ["x", None], [1, "x"]):
        column = np.array(values, dtype=object)
        frame = to_frame({"a": column}, {"a": to_field(pa.binary())}, "pandas")
        assert frame["a"].dtype == object
        assert frame["a"].tolist() == values
