import gzip
import io
import json
import multiprocessing
import pickle
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearnish.data import scan_csv
from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._files.conversion import cache_folder
from sklearnish.data._fingerprint import fingerprint_of_rows
from sklearnish.data._sources.csv.source import CsvSource
from tests.data.csv_files import check_like_pandas, dtypes, everything, scan
from tests.data.object_server import serving


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path_factory.mktemp("cache")))


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
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
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


# Numbers whose thousands are set apart


@pytest.mark.parametrize(
    ("text", "keywords"),
    [
        ('a,b\n"1,234",x\n"-1,234,567",y\n', {"thousands": ","}),
        ('a,b\n"1,234.5","10,000 Maniacs"\n,"1,2"\n', {"thousands": ","}),
        ("a;b\n1.234,5;2.000\n1;\n", {"thousands": ".", "decimal": ",", "sep": ";"}),
        ("a;b\n1 234;True\n1;False\n", {"thousands": " ", "sep": ";"}),
        ('a,b\n"1,234",2020-01-01\n', {"thousands": ",", "dtype": {"a": "float32"}}),
    ],
)
def test_thousands_are_read_as_pandas_reads_them(tmp_path, text, keywords):
    check_like_pandas(scan(tmp_path, text, **keywords), text, **keywords)


def test_thousands_over_the_whole_file(tmp_path):
    n = 200_000
    early = scan(tmp_path, "a;b\n" + "1,234;x\n" * n + "1,234.5;x\n", sep=";", thousands=",")
    assert dtypes(early) == ["float64", "string"]
    assert early.read(np.array([0, n]), ["a"])["a"].to_pylist() == [1234, 1234.5]
    late = scan(tmp_path, "a;b\n" + "1,234;x\n" * n + "1,234 m;x\n", sep=";", thousands=",")
    assert late.read(np.array([0, n]), ["a"])["a"].to_pylist() == ["1,234", "1,234 m"]
    with pytest.raises(ValueError, match=r"column 'a'.*Remove this dtype"):
        scan(tmp_path, 'a\n"1,x"\n', thousands=",", dtype={"a": int})
    with pytest.raises(ValueError, match=r"thousands and decimal are both '\.'"):
        scan(tmp_path, "a\n1\n", thousands=".")


def test_many_files_gzip_included(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with gzip.open(tmp_path / "b.csv.gz", "wt") as file:
        file.write("x,y\n2.5,3\n3,4\n")
    source = CsvSource(tmp_path)
    assert everything(source) == {"x": [1, 2.5, 3], "y": [2, 3, 4]}
    assert source.row_name(0) == f"data row 0 of {tmp_path / 'a.csv'}"
    assert source.row_name(2) == f"data row 1 of {tmp_path / 'b.csv.gz'}"


@pytest.mark.parametrize(
    ("text", "keywords", "message"),
    [
        ("a,b\n1,2\n3\n", {}, r"a\.csv .*data row 1: Expected 2 columns, got 1"),
        ("a,b\n1,2\n3,4,5\n", {}, r"a\.csv .*data row 1: Expected 2 columns, got 3"),
        ("a,b\n1,x\n", {"dtype": {"b": int}}, r"column 'b' of .*a\.csv: data row 0.*'x'"),
        ("a,b\n1,x\n", {"usecols": ["c"]}, "usecols names 'c'"),
        ("a,b\n1,x\n", {"usecols": [5]}, "usecols selects column 5, of 2"),
        ("a,b\n1,x\n", {"dtype": {"c": int}}, "dtype names a column 'c'"),
        ("a,b\n1,x\n", {"names": ["u"]}, "has 2 columns, names has 1"),
        ("a,b\n1,x\n", {"sep": "ab"}, "sep must be one ASCII character"),
        ("a,b\n1,x\n", {"encoding": "no"}, "encoding 'no' is unknown"),
        ("\n\n", {}, "has no header"),
        ("a;b\n1,5;2\n", {}, r"a\.csv has one column, 'a;b'.* Pass sep=';'"),
        ("a|b\n1|2\n", {}, r"Pass sep='\|'"),
        ("a\tb\n1\t2\n", {}, r"Pass sep='\\t'"),
        ("a,b\n1,2\n", {"sep": ";"}, "Pass sep=','"),
        ("1;2\n3;4\n", {"header": None}, "Pass sep=';'"),
        ("sep=;\na;b\n1;2\n", {}, "Pass sep=';', skiprows=1"),
        ("a,b\n1,\u00e9\n".encode("utf-16"), {}, "encoding='utf-16'"),
        ("a,b\n1,2\n".encode("utf-16-le"), {}, "encoding='utf-16-le'"),
        (b"a,b\n1,2\n\xe9,3\n", {"usecols": ["b"], "dtype": {"b": str}}, "latin-1"),
        ("a,b\n1,\u00e9\n".encode("latin-1"), {}, r"a\.csv .*encoding"),
    ],
)
def test_errors_name_the_place_and_leave_nothing(tmp_path, text, keywords, message):
    with pytest.raises(ValueError, match=message):
        scan(tmp_path, text, **keywords)
    assert not list(cache_folder().rglob("*"))


def test_words_that_are_read_as_missing_are_named(tmp_path):
    text = "a,b,y\n" + "1,x,Mild\n" * 200_000 + "2,NA,None\n,,\n"
    source = scan(tmp_path, text)
    told = source.why_missing(200_000, ["y"])
    assert "The file has 'None' in 'y', which scan_csv reads as missing" in told
    assert 'keep_default_na=False, na_values=[""]' in told
    assert "'NA' in 'b' and 'None' in 'y'" in source.why_missing(200_000, [])
    assert source.why_missing(200_001, []) == ""
    asked = scan(tmp_path, "y\n?\nx\n", na_values=["?"])
    assert asked.why_missing(0, ["y"]) == ""


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


def test_it_pickles_small(tmp_path):
    source = pickle.loads(pickle.dumps(scan(tmp_path, "a,b\n1,x\n")))
    assert everything(source) == {"a": [1], "b": ["x"]}
    assert source.row_name(0).endswith("a.csv")
    assert len(pickle.dumps(source)) < 3000


def convert(path, barrier, queue):
    barrier.wait()
    source = CsvSource(path)
    queue.put((source.path, Path(source.path).stat().st_ino))


@pytest.mark.slow
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
    assert sorted(names) == [".arrow", ".json"]
    assert json.loads(next(cache_folder().glob("*.json")).read_text()) == [0]


@pytest.mark.parametrize(
    "damage", ["no note", "an empty note", "a note of other files", "cut short"]
)
def test_a_damaged_copy_is_made_again(tmp_path, damage):
    (tmp_path / "a.csv").write_text("x,y\n1,0\n2,1\n")
    before = scan_csv(tmp_path / "a.csv", target="y")
    (note,), (copy,) = cache_folder().glob("*.json"), cache_folder().glob("*.arrow")
    if damage == "no note":
        note.unlink()
    elif damage == "cut short":
        copy.write_bytes(copy.read_bytes()[:-40])
    else:
        note.write_text("" if "empty" in damage else "[0, 1]")
    with pytest.warns(UserWarning, match="is damaged and is made again"):
        again = scan_csv(tmp_path / "a.csv", target="y")
    assert np.asarray(again).tolist() == [[1], [2]]
    assert fingerprint_of_rows(before) == fingerprint_of_rows(again)
    scan_csv(tmp_path / "a.csv", target="y")


def test_the_copy_of_a_private_file_is_private(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "private.csv"
    path.write_text("a,y\n1,0\n2,1\n")
    path.chmod(0o600)
    scan_csv(path, target="y")
    (copy,) = (tmp_path / "cache").glob("*.arrow")
    assert copy.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def http():
    return fsspec.filesystem("http", skip_instance_cache=True)


@pytest.mark.parametrize("packed", ["", ".gz", ".zip", ".xz"])
def test_objects_of_a_store_are_converted_as_files_are(tmp_path, http, packed):
    rows = pd.DataFrame({"a": np.arange(3000) / 7, "b": np.arange(3000) % 5, "text": "x"})
    names = [f"{i}.csv{packed}" for i in range(2)]
    for name in names:
        rows.to_csv(tmp_path / name, index=False)
    local = CsvSource([tmp_path / name for name in names])
    with serving(tmp_path) as server:
        source = CsvSource([server.url(name) for name in names], http)
        everywhere = np.arange(6000)
        found, wanted = (s.read(everywhere, ["a", "b", "text"]) for s in (source, local))
        assert all(found[name].equals(wanted[name]) for name in wanted)
        assert source.row_name(3001) == f"data row 1 of {server.url(names[1])}"
        server.asked.clear()
        again = CsvSource([server.url(name) for name in names], http)
        assert again.path == source.path
        assert server.count() == {}  # the copy is found by what is known of the objects
        source.check_unchanged()
        rows.iloc[::-1].to_csv(tmp_path / names[0], index=False)
        with pytest.raises(DatasetChangedError, match=rf"{names[0]} changed since it was scanned"):
            source.check_unchanged()
        changed = CsvSource([server.url(name) for name in names], http)
        assert changed.read(np.array([0]), ["a"])["a"].to_pylist() == [2999 / 7]


def test_an_object_is_read_in_order_a_few_times_at_most(tmp_path, http, monkeypatch):
    monkeypatch.setattr("sklearnish.data._files.remote_file._PIECE", 2**16)
    monkeypatch.setattr("sklearnish.data._files.store._FIRST_PAUSE", 1e-3)
    text = "a,b\n" + "12345.5,67890.5\n" * 2**17
    (tmp_path / "a.csv").write_text(text)
    with serving(tmp_path) as server:
        server.faults += [503, "cut", None, "close", None] * 3
        source = CsvSource(server.url("a.csv"), http)
        assert source.n_rows == 2**17
        asked = [how for method, _, how in server.asked if method == "GET"]
        assert len(set(asked)) <= len(text) // 2**16 + 3
        assert len(asked) < 3 * len(set(asked))
        server.faults += [503] * 1000
        with pytest.raises(OSError, match=r"could not be read in 5 tries .*a\.csv"):
            CsvSource(server.url("a.csv"), http, dtype=str)
    assert list(Path(source.path).parent.glob(".*.part")) == []


def test_a_copy_of_an_object_is_private_and_its_name_has_no_credentials(tmp_path, http):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with serving(tmp_path) as server:
        url = server.url("a.csv?token=SECRET")
        source = CsvSource(url, http)
        wrong = "a,b\n1,2\n3\n"
        (tmp_path / "a.csv").write_text(wrong)
        with pytest.raises(ValueError, match=r"http://.*a\.csv\?\w+ cannot be read") as caught:
            CsvSource(url, http)
    assert "SECRET" not in str(caught.value) + source.path + source.name + source.row_name(0)
    for path in Path(source.path).parent.iterdir():
        assert path.suffix != ".arrow" or path.stat().st_mode & 0o077 == 0
