import datetime
import uuid
from contextlib import ExitStack
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearnish.data._sources.sql import rows as module
from sklearnish.data._sources.sql.rows import Result, typed

UTC = datetime.UTC
BERLIN = datetime.timezone(datetime.timedelta(hours=1))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))


def read(columns, n_first=2):
    """Give columns as a cursor does, in chunks that begin with a few rows."""
    left = list(zip(*columns.values(), strict=True))

    def fetch(n):
        n = min(n, n_first)
        taken = left[:n]
        del left[:n]
        return taken

    with ExitStack() as opened:
        schema, tables = typed(Result(list(columns), fetch), opened)
        return pa.Table.from_batches(
            [batch for table in tables for batch in table.to_batches()], schema
        )


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2, None, 2**62 + 1], pa.int64()),
        ([1, 2, 3, 2.5], pa.float64()),
        ([2.5, None, 3, 4], pa.float64()),
        ([None, None, None, "x"], pa.string()),
        ([None, None, None, None], pa.null()),
        (["x", "", None, "long" * 100], pa.string()),
        ([b"x", None, b"", b"y"], pa.binary()),
        ([True, None, False, True], pa.bool_()),
        ([Decimal("1.5"), None, Decimal("100"), Decimal("0.001")], pa.decimal128(6, 3)),
        ([1, 2, None, Decimal("0.5")], pa.decimal128(20, 1)),
        ([datetime.date(2024, 2, 29), None, None, None], pa.date32()),
        ([datetime.datetime(2024, 2, 29, 1), None, None, None], pa.timestamp("us")),
        ([datetime.timedelta(1), None, None, None], pa.duration("us")),
        ([[1], [2], None, [2.5]], pa.list_(pa.float64())),
        ([{"a": 1}, None, None, {"a": 2, "b": "x"}], None),
    ],
)
def test_the_type_is_that_of_all_rows(values, dtype):
    table = read({"c": values})
    assert dtype in (None, table.schema.field("c").type)
    expected = [None if v is None else v for v in values]
    if dtype is None:
        assert table["c"][3].as_py() == {"a": 2, "b": "x"}
    else:
        assert table["c"].to_pylist() == expected


def test_times_of_several_zones_become_utc():
    times = [datetime.datetime(2024, 1, 1, 12, tzinfo=zone) for zone in (UTC, UTC, BERLIN)]
    table = read({"t": times})
    assert table.schema.field("t").type == pa.timestamp("us", "UTC")
    assert table["t"].to_pylist() == times


LONG = Decimal("12345678901234567890.123456789")


@pytest.mark.parametrize("odd", ["NaN", "-Infinity"])
@pytest.mark.parametrize("place", [0, 1, 7])
@pytest.mark.parametrize("long", [LONG, Decimal("1234567890123456.78"), 2**53 + 1])
def test_decimals_keep_their_digits_or_are_refused(odd, place, long):
    values = [Decimal("0.1"), None, Decimal("1.25")] + [long] * 3
    values.insert(place if place < 7 else len(values), Decimal(odd))
    row = values.index(long)
    with pytest.raises(ValueError, match=f"Column 'd' cannot be read.*{long}.* in row {row}[,.]"):
        read({"d": values})
    short = [value for value in values if value != long]
    expected = np.array([np.nan if v is None else float(v) for v in short])
    np.testing.assert_array_equal(read({"d": short})["d"].to_numpy(), expected)


def test_decimals_that_are_no_numbers_become_floats():
    values = read({"d": [Decimal("0.5"), Decimal("NaN"), None, Decimal("-Infinity")]})["d"]
    assert values.type == pa.float64()
    np.testing.assert_array_equal(values.to_numpy(), [0.5, np.nan, np.nan, -np.inf])


NAIVE = datetime.datetime(2024, 1, 1)
MIXED = [
    ([1, 2, 3, "x"], r"'c' mixes 1 \(int\) in row 0 and 'x' \(str\) in row 3"),
    (["x", 2, 3, 4], r"mixes 'x' \(str\) in row 0 and 2 \(int\) in row 1"),
    ([None, None, 3, "x"], r"3 \(int\) in row 2 and 'x' \(str\) in row 3"),
    ([b"x", "x"], r"bytes.*str"),
    ([1, True], r"int.*bool"),
    ([1.5, None, Decimal("1.5")], r"float.*Decimal"),
    ([NAIVE, NAIVE, NAIVE.replace(tzinfo=UTC)], r"row 0 and .* in row 2"),
    ([NAIVE, NAIVE.date()], r"datetime.*date"),
    ([1, 2.5, "x"], r"in row 0 and .* in row 1|str"),
]


@pytest.mark.parametrize(("values", "text"), MIXED)
def test_columns_that_mix_types_are_refused(values, text):
    with pytest.raises(ValueError, match=text) as caught:
        read({"c": values})
    assert 'CAST("c" AS' in str(caught.value)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, 2, 2**53 + 1, 2.5], r"9007199254740993 in row 2"),
        ([2**53 + 1, 2, 3, 2.5], r"9007199254740993 in row 0, not exactly a double"),
        ([1, 2, 2**63], r"9223372036854775808 in row 2"),
        ([1, 2, 3, uuid.UUID(int=1), "x"], "UUID"),
        ([SimpleNamespace(), None], "namespace.* in row 0"),
        ([1.0, 2.0, SimpleNamespace()], "namespace.* in row 2"),
        ([["a"], [1]], r"\[1\] in row 1"),
        ([["a"], None, [1]], "list<.*int64> from row 2 on, and list<.*string> before"),
    ],
)
def test_what_no_type_holds_is_refused(values, text):
    with pytest.raises(ValueError, match=text):
        read({"c": values})


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 5),
)
def test_numbers_are_kept_exactly_or_refused(values, n_first):
    try:
        found = read({"c": values}, n_first)["c"].to_pylist()
    except ValueError as error:
        assert "without loss" in str(error)  # noqa: PT017 - or not refused at all
        assert any(isinstance(v, float) for v in values)
        assert any(isinstance(v, int) and abs(v) > 2**53 for v in values)
        return
    assert found == values


def test_rows_may_be_mappings():
    left = [[{"a": 1, "b": "x"}], []]
    with ExitStack() as opened:
        _, tables = typed(Result(["a", "b"], lambda n: left.pop(0)), opened)
        assert next(tables).to_pydict() == {"a": [1], "b": ["x"]}


def test_chunks_are_of_about_the_same_size(monkeypatch):
    asked = []
    left = [100_000]

    def fetch(n):
        asked.append(n)
        n = min(n, left[0])
        left[0] -= n
        return [(1, 2.0)] * n

    monkeypatch.setattr(module, "_CHUNK_NBYTES", 2**16)
    with ExitStack() as opened:
        typed(Result(["a", "b"], fetch), opened)
    assert asked[0] == module._FIRST_ROWS
    assert max(asked) == 2**16 // 16


def test_rows_that_are_wide_come_one_by_one():
    asked = []

    def fetch(n):
        asked.append(n)
        return [(bytes(2**15),)] * n if len(asked) < 3 else []

    with ExitStack() as opened:
        typed(Result(["a"], fetch), opened)
    assert asked[1] < asked[0]


@pytest.mark.parametrize(
    ("names", "text"), [(None, "gives no rows"), (["a", "a"], "two columns named 'a'")]
)
def test_results_without_columns_and_with_two_of_one_name(names, text):
    with ExitStack() as opened, pytest.raises(ValueError, match=text):
        typed(Result(names, lambda n: []), opened)
