import datetime
import gzip
import io
import json
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearnish.data._columns import check_numeric
from sklearnish.data._files import DatasetChangedError, cache_folder
from sklearnish.data._sources import csv
from sklearnish.data._sources.csv import CsvSource


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path_factory.mktemp("cache")))


def scan(tmp_path, text, **keywords):
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return CsvSource(path, **keywords)


def everything(source):
    names = list(source.schema)
    return {n: c.to_pylist() for n, c in source.read(np.arange(source.n_rows), names).items()}


def dtypes(source):
    return [field.dtype for field in source.schema.values()]


def check_like_pandas(source, text, **keywords):
    """Compare names and values; numbers by value, missing by being missing."""
    data = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    want = pd.read_csv(data, low_memory=False, **keywords)
    got = everything(source)
    assert list(got) == [str(name) for name in want.columns]
    for i, name in enumerate(got):
        column = want.iloc[:, i]
        assert (source.schema[name].kind == "text") == any(isinstance(v, str) for v in column)
        expected = [None if pd.isna(v) else v for v in column.tolist()]
        actual = [None if v is None or v != v else v for v in got[name]]
        assert actual == expected


CASES = [
    ("a,b\n1,x\n2,y\n", {}),
    ("a,b\n1,2.5\n,\n", {}),
    ("a;b\n1,5;x\n2,5;y\n", {"sep": ";", "decimal": ","}),
    ("a\tb\n1\t2\n", {"delimiter": "\t"}),
    ("1,2\n3,4\n", {"header": None}),
    ("1,2\n3,4\n", {"names": ["u", "v"]}),
    ("a,b\n3,4\n", {"names": ["u", "v"], "header": 0}),
    ("# note\n\na,b\n3,4\n", {"skiprows": 1}),
    ("junk,k\na,b\n3,4\n", {"header": 1}),
    ("a,a,\n1,2,3\n", {}),
    ("a,b,c\n1,2,3\n", {"usecols": ["c", "a"]}),
    ("a,b,c\n1,2,3\n", {"usecols": [2, 0]}),
    ("a,b\n1,2\n3,4\n", {"dtype": {"a": str, "b": "float32"}}),
    ("a,b\n1,2\n3,4\n", {"dtype": float}),
    ("a,b\n-999,x\n-999.0,missing\n3,z\n", {"na_values": [-999, "missing"]}),
    ("a,b\nNA,x\n3,None\n", {"keep_default_na": False}),
    ("a,b\n1,2\n3,4\n5,6\n", {"nrows": 2}),
    ("a,b\n'x,y',2\n", {"quotechar": "'"}),
    ('a,b\n"x\ny",2\n"p ""q""",3\n', {}),
    ('a,b\nx"y,2\n', {"quoting": 3}),
    ("a,b\nx\\,y,2\n", {"escapechar": "\\"}),
    ("a,b\nyes,True\nno,FALSE\n", {"true_values": ["yes"], "false_values": ["no"]}),
    ("a, b\n1, x\n2, \n", {"skipinitialspace": True}),
    ('a, b\n1, "x, y"\n2, z z\n', {"skipinitialspace": True}),
    ('# one\na,b # two\n1,2#three\n# four\n"#5",6\n', {"comment": "#"}),
    ("\ufeffa,b\n1,2\n", {}),
    ("a,b\n\u00e9,2\n".encode("latin-1"), {"encoding": "latin-1"}),
    ("a,b\n\u00e9,2\n".encode("utf-16"), {"encoding": "utf-16"}),
    ("a\n 1\n2 \n", {}),
    ("a\n+1\n2\n", {}),
    ("a\n0x10\n1\n", {}),
    ("a\n1\nTrue\n", {}),
    ("a\n2020-01-01\n2020-01-02\n", {}),
    ("a\n12345678901234567890\n1\n", {}),
    ("a\ninf\n-Infinity\n1e400\n", {}),
    ("a,b\r\n1,2\r\n\r\n3,4\r\n", {}),
    ("a,b\nNaN,\nnull,\n", {}),
    ("i,a\n1,2\n3,4\n", {"index_col": 0}),
    ("a\n1\n", {"dtype": "category"}),
]


@pytest.mark.parametrize(("text", "keywords"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_it_reads_what_pandas_reads(tmp_path, text, keywords):
    compared = {k: "str" if v == "category" else v for k, v in keywords.items()}
    check_like_pandas(scan(tmp_path, text, **keywords), text, **compared)


CELL = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    st.sampled_from(
        ["", "NA", "True", "false", "x", "a,b", 'say "so"', "two\nlines", " pad", "1 2"]
    ),
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_random_frames_are_read_as_pandas_reads_them(tmp_path, data):
    n, width = data.draw(st.integers(1, 8)), data.draw(st.integers(2, 4))
    cells = [[data.draw(CELL) for _ in range(width)] for _ in range(n)]
    text = pd.DataFrame(cells, columns=[f"c{i}" for i in range(width)]).to_csv(index=False)
    mixed = pd.read_csv(io.StringIO(text), low_memory=False)
    source = scan(tmp_path, text)
    got = everything(source)
    for name in got:
        want = [None if pd.isna(v) else v for v in mixed[name].tolist()]
        have = [None if v is None or v != v else v for v in got[name]]
        assert have == want


@pytest.mark.parametrize(
    ("early", "late", "dtype"),
    [
        ("1", "2.5", "float64"),
        ("1", "x", "string"),
        ("True", "1", "string"),
        ("True", "", "bool"),
        ("", "7", "int64"),
        ("", "x", "string"),
        ("0.5", "x", "string"),
        ("1", "12345678901234567890", "string"),
    ],
)
def test_types_are_promoted_over_the_whole_file(tmp_path, early, late, dtype):
    n = 300_000  # the last rows are in a later block of the parser
    source = scan(tmp_path, "k,v\n" + f"12345,{early}\n" * n + f"1,{late}\n")
    assert dtypes(source) == ["int64", dtype]
    values = source.read(np.array([0, n]), ["v"])["v"].to_pylist()
    typed = {"float64": float, "int64": int, "string": str, "bool": lambda v: v == "True"}[dtype]
    assert values == [None if v == "" else typed(v) for v in (early, late)]


def test_long_identifiers_keep_their_digits(tmp_path):
    source = scan(tmp_path, "a\n123456789012345678901234567890\n1\n")
    assert everything(source) == {"a": ["123456789012345678901234567890", "1"]}


def test_dates_are_parsed_when_asked(tmp_path):
    text = "d,e\n2020-01-01,2020-01-01\n2020-01-02 10:00:00,soon\n"
    source = scan(tmp_path, text, parse_dates=["d", "e"])
    assert [field.kind for field in source.schema.values()] == ["datetime", "text"]
    assert everything(source)["d"] == [
        datetime.datetime(2020, 1, 1),
        datetime.datetime(2020, 1, 2, 10),
    ]


def test_many_files_gzip_included(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with gzip.open(tmp_path / "b.csv.gz", "wt") as file:
        file.write("x,y\n2.5,3\n3,4\n")
    source = CsvSource(tmp_path)
    assert everything(source) == {"x": [1, 2.5, 3], "y": [2, 3, 4]}
    assert source.row_name(0) == f"data row 0 of {tmp_path / 'a.csv'}"
    assert source.row_name(2) == f"data row 1 of {tmp_path / 'b.csv.gz'}"


def test_headers_that_differ_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    with pytest.raises(ValueError, match=r"header of .*b\.csv is \['x', 'z'\]"):
        CsvSource(tmp_path)


@pytest.mark.parametrize(
    ("text", "keywords", "message"),
    [
        ("a,b\n1,2\n3\n", {}, r"a\.csv .*Row #3: Expected 2 columns, got 1"),
        ("a,b\n1,2\n3,4,5\n", {}, r"a\.csv .*Row #3: Expected 2 columns, got 3"),
        ("a,b\n1,x\n", {"dtype": {"b": int}}, r"column 'b' of .*a\.csv: Row #2.*'x'"),
        ("a,b\n1,x\n", {"usecols": ["c"]}, "usecols names 'c'"),
        ("a,b\n1,x\n", {"usecols": [5]}, "usecols asks for column 5, of 2"),
        ("a,b\n1,x\n", {"dtype": {"c": int}}, "dtype names a column 'c'"),
        ("a,b\n1,x\n", {"names": ["u"]}, "has 2 columns, names has 1"),
        ("a,b\n1,x\n", {"sep": "ab"}, "sep must be one ASCII character"),
        ("a,b\n1,x\n", {"encoding": "no"}, "encoding 'no' is unknown"),
        ("\n\n", {}, "has no header"),
        ("a,b\n1,\u00e9\n".encode("latin-1"), {}, r"a\.csv .*encoding"),
    ],
)
def test_errors_name_the_place_and_leave_nothing(tmp_path, text, keywords, message):
    with pytest.raises(ValueError, match=message):
        scan(tmp_path, text, **keywords)
    assert not [p for p in cache_folder().rglob("*") if p.suffix != ".lock"]


_BLOCKS = "12345,1\n" * 300_000  # more than two blocks of the parser


@pytest.mark.parametrize("rest", ['"x\n,y",1\n', '5" pipe,1\n"a\nb",2\n', "a\\\nb,1\n"])
def test_quotes_may_begin_late(tmp_path, rest):
    keywords = {"escapechar": "\\"} if "\\" in rest else {}
    text = f"a,b\n{_BLOCKS}{rest}{_BLOCKS}"
    source = scan(tmp_path, text, **keywords)
    check_like_pandas(source, text, **keywords)


@pytest.mark.parametrize("quoted", ["", '"x",1\n'])
@pytest.mark.parametrize(
    ("row", "message"), [("1", "Expected 2 columns, got 1"), ("1,x", "CSV conversion error.*'x'")]
)
def test_errors_count_rows_from_the_beginning(tmp_path, quoted, row, message):
    text = f"a,b\n{_BLOCKS}{quoted}{_BLOCKS}{row}\n"
    where = text.count("\n")
    with pytest.raises(ValueError, match=f"Row #{where}: {message}"):
        scan(tmp_path, text, dtype={"a": str, "b": int})


def test_lines_may_end_in_carriage_returns_only(tmp_path):
    source = scan(tmp_path, f"a,b\n{_BLOCKS}".replace("\n", "\r"))
    assert source.n_rows == 300_000


def test_unknown_keywords_list_the_known(tmp_path):
    with pytest.raises(TypeError, match=r"'thousands'.*supports: sep, delimiter"):
        scan(tmp_path, "a\n1\n", thousands=",")
    with pytest.raises(TypeError, match="one per column"):
        scan(tmp_path, "a\n1\n", na_values={"a": 1})
    with pytest.raises(TypeError, match="skiprows"):
        scan(tmp_path, "a\n1\n", skiprows=[1])


def test_it_is_converted_once_until_it_changes(tmp_path):
    source = scan(tmp_path, "a\n1\n")
    stamp = Path(source.path).stat().st_mtime_ns
    again = CsvSource(tmp_path / "a.csv")
    assert (again.path, Path(again.path).stat().st_mtime_ns) == (source.path, stamp)
    assert CsvSource(tmp_path / "a.csv", dtype=str).path != source.path
    newer = scan(tmp_path, "a\n1\n2\n")
    assert newer.n_rows == 2
    assert not Path(source.path).exists()
    with pytest.raises(DatasetChangedError):
        source.check_unchanged()
    (tmp_path / "a.csv").unlink()
    with pytest.raises(DatasetChangedError, match=r"a\.csv"):
        newer.check_unchanged()


def test_a_row_longer_than_a_block(tmp_path):
    text = "a,b\n1,x\n" + "2," + "y" * 3_000_000 + "\n"
    source = scan(tmp_path, "a,b\n" + "1,x\n" * 400_000 + text[8:])
    assert source.n_rows == 400_001
    assert len(source.read(np.array([400_000]), ["b"])["b"][0].as_py()) == 3_000_000


def test_it_pickles_small(tmp_path):
    source = pickle.loads(pickle.dumps(scan(tmp_path, "a,b\n1,x\n")))
    assert everything(source) == {"a": [1], "b": ["x"]}
    assert source.row_name(0).endswith("a.csv")
    assert len(pickle.dumps(source)) < 3000


def convert(path, barrier, queue):
    barrier.wait()
    source = CsvSource(path)
    queue.put((source.path, Path(source.path).stat().st_ino))


def test_of_two_processes_one_converts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,2.5\n" * 300_000)
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.SimpleQueue()
    children = [context.Process(target=convert, args=(path, barrier, queue)) for _ in range(2)]
    for child in children:
        child.start()
    assert queue.get() == queue.get()  # the same file, made once
    for child in children:
        child.join()
    names = [p.suffix for p in cache_folder().iterdir()]
    assert sorted(names) == [".arrow", ".json", ".lock"]
    assert json.loads(next(cache_folder().glob("*.json")).read_text()) == [0]


# A column of numbers with a value that is none


def refused(source):
    with pytest.raises(ValueError, match="Features must be numbers") as caught:
        check_numeric(source, list(source.schema))
    return str(caught.value)


@pytest.mark.parametrize("odd", ["oops", "-", "?", "1,5"])
@pytest.mark.parametrize("row", [0, 5, 9])
def test_the_value_that_makes_text_of_numbers_is_named(tmp_path, monkeypatch, odd, row):
    monkeypatch.setattr(csv, "_LOOKED_AT", 4)
    values = ["1", "-2.5", "+3e-2", "", ".5"] * 2
    values[row] = f'"{odd}"'
    text = "a,b\n" + "".join(f"1,{v}\n" for v in values)
    told = refused(scan(tmp_path, text))
    assert f"Most values of 'b' are numbers, but data row {row} of {tmp_path / 'a.csv'}" in told
    assert f"has {odd!r}: scan_csv(..., na_values=[{odd!r}]) reads it as missing" in told
    assert "decimal=',' reads numbers such as '1,5'. Encode such a column" in told
    fine = scan(tmp_path, text, na_values=[odd])
    check_numeric(fine, list(fine.schema))


def test_numbers_with_another_decimal_sign_are_told_of_it(tmp_path):
    text = "a;b\n1;1,5\n2;2,5\n"
    assert "data row 0 of" in (told := refused(scan(tmp_path, text, sep=";")))
    assert "decimal=','" in told
    check_numeric(scan(tmp_path, text, sep=";", decimal=","), ["a", "b"])
    assert "decimal='.'" in refused(scan(tmp_path, "a\n1\n2.5\n3\n", sep=";", decimal=","))


@pytest.mark.parametrize("values", ["xyz", "x1", ["12345678901234567890123", "1.5"]])
def test_text_is_not_taken_for_numbers(tmp_path, values):
    told = refused(scan(tmp_path, "a\n" + "".join(f"{v}\n" for v in values)))
    assert "Most values" not in told
    assert "has 'a' (" in told
