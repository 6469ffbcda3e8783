"""Columns are encoded in a graph as by the TableEncoder."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish.persistence._exporting.table import Category, Date, Lines, List, Number, Table
from sklearnish.preprocessing import TableEncoder
from sklearnish.preprocessing._encoding.number import number_column

N = 300


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    seconds = pd.to_timedelta(rng.integers(0, 3_000_000_000, N), "s")
    X = pd.DataFrame(
        {
            "number": rng.normal(size=N),
            "gaps": rng.lognormal(size=N),
            "few": rng.integers(-2, 3, N),
            "flag": rng.random(N) < 0.5,
            "two": rng.choice([1.5, 2.5], N),
            "town": rng.choice(["Bonn", "Köln", "Rome"], N),
            "known": rng.choice(["a", "b"], N),
            "when": pd.Timestamp("1955-01-01") + seconds,
            "zoned": (pd.Timestamp("2001-03-04") + seconds / 4).tz_localize("UTC"),
            "list": list(rng.normal(2, 3, size=(N, 2))),
        }
    )
    X["zoned"] = X["zoned"].dt.tz_convert("Europe/Berlin")
    for name in ("gaps", "two", "town", "when", "list"):
        X.loc[rng.random(N) < 0.2, name] = None
    return X


def later(X: pd.DataFrame) -> pd.DataFrame:
    """Rows with what fit did not see."""
    X = X.copy()
    X.loc[0, ["number", "few"]] = None
    X.loc[1, ["number", "gaps", "few"]] = [1e30, -np.inf, 77]
    X.loc[2, ["town", "known"]] = ["Oslo", None]
    X.loc[3, "when"] = pd.Timestamp("1900-03-01")
    X.at[4, "list"] = np.array([np.nan, 1e20])
    return X


def tensors(X: pd.DataFrame, columns: list) -> dict[str, torch.Tensor]:
    """Rows as a graph takes them, text as codes."""
    return {column.name: torch.tensor(_values(X[column.name], column)) for column in columns}


def _values(x: pd.Series, column):
    if isinstance(column, Category) and column.is_text:
        return [column.codes.get("" if pd.isna(text) else text, 0) for text in x]
    if isinstance(column, Date):
        x = x.dt.tz_localize(None) if column.about["time_zone"] else x
        return ((x - pd.Timestamp(0)) / pd.Timedelta("1s")).to_numpy(float)
    if isinstance(column, List):
        return np.array([[np.nan] * 2 if np.ndim(v) == 0 else v for v in x])
    return x.to_numpy(float, na_value=np.nan)


@pytest.mark.parametrize("one_hot", [True, False])
def test_columns_of_every_kind_are_encoded_as_by_the_encoder(one_hot):
    X = table()
    encoder = TableEncoder(one_hot=one_hot).fit(X)
    graph = Table(encoder)
    rows = later(X)
    wanted = np.asarray(encoder.transform(rows))
    found = graph(tensors(rows, graph.columns)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-7)
    exact = [i for i, name in enumerate(encoder.get_feature_names_out()) if "_" not in name]
    assert (found[:, exact] == wanted[:, exact]).all()  # all but the waves of dates


@settings(max_examples=30)
@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=40),
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=20),
)
def test_scores_are_those_of_the_column(sample, values):
    line, other = number_column(np.array(sample), gaps=False), number_column(np.zeros(1), gaps=True)
    x = np.array(values)
    found = Lines([line, other])(torch.tensor(np.stack([x, x], 1))).numpy()
    np.testing.assert_array_equal(found[:, 0], line.scores_of(x))
    np.testing.assert_array_equal(found[:, 1], other.scores_of(x))


def test_codes_that_are_none_count_as_unknown():
    encoder = TableEncoder(one_hot=False).fit(pd.DataFrame({"town": ["Bonn", "Rome", None] * 9}))
    graph = Table(encoder)
    codes = torch.tensor([-1, 0, 1, 2, 3, 4])
    assert graph({"town": codes}).flatten().tolist() == [0, 0, 1, 2, 3, 0]
    assert graph.columns[0].codes == {"": 3, "Bonn": 1, "Rome": 2}


def test_empty_text_is_a_level_if_it_was_one():
    encoder = TableEncoder(one_hot=False).fit(pd.DataFrame({"town": ["", "Rome", None] * 9}))
    assert Table(encoder).columns[0].codes == {"": 1, "Rome": 2}


@pytest.mark.parametrize("values", [["", "Rome", None], ["", "Rome"], ["Rome", None], ["Rome"]])
def test_made_up_text_has_one_code_in_both_forms(values):
    encoder = TableEncoder(one_hot=False).fit(pd.DataFrame({"town": [*values, "Bonn"] * 9}))
    (column,) = Table(encoder).columns
    given, texts = column.made_up()
    right = encoder.transform(pd.DataFrame({"town": texts.to_pylist()}))
    assert [column.codes.get(text, 0) for text in given] == np.asarray(right).ravel().tolist()
    assert column.is_ambiguous == ({"", None} <= set(values))


def test_made_up_values_are_the_same_in_both_forms():
    X = table()
    encoder = TableEncoder(one_hot=False).fit(X)
    graph = Table(encoder)
    kinds = {type(column) for column in graph.columns}
    assert kinds == {Number, Category, Date, List}
    made = {column.name: column.made_up() for column in graph.columns}
    frame = pd.DataFrame({name: column.to_pylist() for name, (_, column) in made.items()})
    frame["zoned"] = pd.to_datetime(frame["zoned"], utc=True).dt.tz_convert("Europe/Berlin")
    again = tensors(frame, graph.columns)
    for column in graph.columns:
        given, _ = made[column.name]
        if isinstance(column, Category) and column.is_text:
            given = [column.codes.get(text, 0) for text in given]
        np.testing.assert_array_equal(again[column.name].numpy(), given)


def test_free_text_is_refused_by_name():
    words = [f"many words {i} of which no two are the same {i * i}" for i in range(50)]
    encoder = TableEncoder().fit(pd.DataFrame({"review": words}))
    with pytest.raises(ValueError, match=r"'review' is free text.*kinds={'review': 'drop'}"):
        Table(encoder)


def test_whole_numbers_that_float64_would_round_are_refused():
    big = [2**53 + 1, 2**53 + 3] * 20
    encoder = TableEncoder().fit(pd.DataFrame({"key": big}))
    with pytest.raises(ValueError, match="'key' has whole numbers such as 9007199254740993"):
        Table(encoder)
