import io

import numpy as np
import pyarrow as pa
import pytest

import sklearnish as sn
from sklearnish.data._files.changes import Manifest
from sklearnish.data._sources.csv.conversion import Converter, LongRowError, read_note, write_note
from sklearnish.data._sources.csv.keywords import CsvOptions
from sklearnish.data._sources.csv.source import CsvSource
from sklearnish.data._sources.csv.types import WrongTypeError
from tests.data.csv_files import BLOCKS, everything, scan


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_a_note_is_read_as_it_was_written(tmp_path):
    write_note(tmp_path / "a.arrow", [0, 7, 2**40], [])
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert read_note(tmp_path / "a.arrow", 3) == [0, 7, 2**40]


@pytest.mark.parametrize("text", [None, "", "[0, 1]", '{"a": 0}', '["a"]', "[1e400]", "[[0]"])
def test_a_note_that_is_of_no_use_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json, which belongs to .*a\.arrow, cannot be read"):
        read_note(tmp_path / "a.arrow", 1)


def test_headers_that_differ_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    with pytest.raises(ValueError, match=r"header of .*b\.csv is \['x', 'z'\]"):
        CsvSource(tmp_path)


@pytest.mark.parametrize("quoted", ["", '"x",1\n'])
@pytest.mark.parametrize(
    ("row", "message"), [("1", "Expected 2 columns, got 1"), ("1,x", "CSV conversion error.*'x'")]
)
def test_errors_count_rows_from_the_beginning(tmp_path, quoted, row, message):
    text = f"a,b\n{BLOCKS}{quoted}{BLOCKS}{row}\n"
    where = text.count("\n") - 2  # as row_name counts: without the header, from 0
    with pytest.raises(ValueError, match=f"data row {where}: {message}"):
        scan(tmp_path, text, dtype={"a": str, "b": int})


def test_columns_that_nobody_uses_may_differ(tmp_path):
    (tmp_path / "0.csv").write_text("a,note,b\n1,x,2\n")
    (tmp_path / "1.csv").write_text("b,a,more\n4.5,3,5\n")
    with pytest.raises(ValueError, match=r"1\.csv is \['b', .* usecols=\[\.\.\.\]"):
        CsvSource(tmp_path)
    with pytest.raises(ValueError, match=r"1\.csv is \['b'"):
        CsvSource(tmp_path, usecols=["a", "note"])
    source = CsvSource(tmp_path, usecols=["a", "b"])
    assert everything(source) == {"a": [1, 3], "b": [2.0, 4.5]}


def test_errors_are_of_classes_that_people_know(tmp_path, monkeypatch):
    for text, keywords in [
        ("a\nx\n", {"dtype": int}),
        ("a,b\n1,\u00e9\n".encode("latin-1"), {"skiprows": 0}),
        ("a\n1\n" + "2" * 200_000, {}),
    ]:
        monkeypatch.setenv("SKLEARNISH_MAX_ROW_BYTES", "100000")
        with pytest.raises(ValueError, match=r"a\.csv") as caught:
            scan(tmp_path, text, **keywords)
        assert type(caught.value) is ValueError


def test_a_row_longer_than_a_block(tmp_path):
    text = "a,b\n1,x\n" + "2," + "y" * 3_000_000 + "\n"
    source = scan(tmp_path, "a,b\n" + "1,x\n" * 400_000 + text[8:])
    assert source.n_rows == 400_001
    assert len(source.read(np.array([400_000]), ["b"])["b"][0].as_py()) == 3_000_000


def converter(tmp_path, header="a,b\n", **options):
    (tmp_path / "a.csv").write_text(header)
    return Converter([Manifest.of(tmp_path / "a.csv")], CsvOptions(**options))


def failed(tmp_path, text):
    converter(tmp_path)._fail(0, pa.ArrowInvalid(text), 100)


def test_a_value_of_another_type_has_its_column_and_row(tmp_path):
    text = "In CSV column #1: Row #3: CSV conversion error to int64: invalid value 'x'"
    where = r"column 'b' of .*a\.csv: data row 102: .*'x'"
    with pytest.raises(WrongTypeError, match=where) as caught:
        failed(tmp_path, text)
    assert caught.value.column == "b"


def test_a_row_longer_than_a_block_is_told_apart(tmp_path):
    with pytest.raises(LongRowError, match=r"a\.csv has a row of more than 1,048,576 bytes"):
        failed(tmp_path, "straddling object straddles two block boundaries")


def test_other_errors_name_file_and_row(tmp_path):
    where = r"a\.csv.*data row 104.*Expected 2 columns, got 3"
    with pytest.raises(ValueError, match=where) as caught:
        failed(tmp_path, "CSV parse error: Row #5: Expected 2 columns, got 3: 1,2,3")
    assert not isinstance(caught.value, LongRowError | WrongTypeError)


TYPES = {"b": pa.float64(), "a": pa.string()}


def parsed(tmp_path, text, number=1, **options):
    header = "a,x,b\n".replace(",", options.get("sep", ","))
    reader = converter(tmp_path, header, **options)._parse(0, TYPES, (number, text))
    return pa.Table.from_batches(list(reader)).to_pydict()


@pytest.mark.parametrize("form", [bytes, io.BytesIO])
def test_columns_are_read_as_they_are_asked_for(tmp_path, form):
    text = b"a,x,b\n" + b"one,?,1.5\ntwo,,\n" * 20
    assert parsed(tmp_path, form(text), number=0) == {
        "b": [1.5, None] * 20,
        "a": ["one", "two"] * 20,
    }


def test_the_keywords_of_pandas_mean_the_same(tmp_path):
    text = b"'it''s;1';x;0,5\n-;x;-\n"
    found = parsed(tmp_path, text, sep=";", quote="'", decimal=",", na=("-",))
    assert found == {"b": [0.5, None], "a": ["it's;1", None]}


def test_without_quotes_they_are_letters(tmp_path):
    assert parsed(tmp_path, b'"one,x,2\n', quote=None) == {"b": [2.0], "a": ['"one']}


@pytest.mark.parametrize(
    "text",
    [
        "# by hand\na,b\n1,2\n3,4\n",
        "# by hand, on Monday\na,b\n1,2\n3,4\n",
        "a,b\n1,2\n# a gap\n3,4\n",
        "a,b\n1,2\n# a gap, on Monday\n3,4\n",
    ],
)
def test_comments_are_told_how_to_be_left_out(text, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=r"comment='#'"):
        sn.TorchRegressor().fit(sn.scan_csv(tmp_path / "a.csv"), [1, 2])
    ds = sn.scan_csv(tmp_path / "a.csv", comment="#")
    assert ds.read([1, 0]).X.tolist() == [[3, 4], [1, 2]]


def test_a_name_may_begin_as_a_comment_does(tmp_path):
    (tmp_path / "a.csv").write_text("#a,b\n1,2\n")
    assert sn.scan_csv(tmp_path / "a.csv").columns == ("#a", "b")


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ('{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', r", lines=True\)"),
        ('{"a": 1}\n', r", lines=True\)"),
        ('[{"a": 1, "b": 2}]', r"json'\)"),
    ],
)
def test_json_is_told_what_reads_it(text, way, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=rf"holds JSON, not CSV.*pd\.read_json\('.*{way}"):
        sn.scan_csv(tmp_path / "a.json")
