import csv
import io
import threading

import pytest

from sklearnish.data import scan_csv
from sklearnish.data._sources.csv.keywords import read_keywords
from sklearnish.data._sources.csv.text import check_closed
from tests.data.csv_files import BLOCKS, check_like_pandas, everything, scan


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("rest", ['"x\n,y",1\n', '5" pipe,1\n"a\nb",2\n', "a\\\nb,1\n"])
def test_quotes_may_begin_late(tmp_path, rest):
    keywords = {"escapechar": "\\"} if "\\" in rest else {}
    text = f"a,b\n{BLOCKS}{rest}{BLOCKS}"
    source = scan(tmp_path, text, **keywords)
    check_like_pandas(source, text, **keywords)


def test_lines_may_end_in_carriage_returns_only(tmp_path):
    source = scan(tmp_path, f"a,b\n{BLOCKS}".replace("\n", "\r"))
    assert source.n_rows == 30_000


def test_one_column_may_have_any_name(tmp_path):
    assert everything(scan(tmp_path, "a;b\n1\n", names=["c"], header=0)) == {"c": [1]}


@pytest.mark.parametrize("text", ["a,b", "a,b\n", '"a","b"', '"a","b"\r\n', "a,b\n\n"])
def test_a_header_alone_has_no_rows(tmp_path, text):
    scan(tmp_path, text)
    with pytest.raises(ValueError, match=r"a\.csv has 0 rows"):
        scan_csv(tmp_path / "a.csv")


def check(text, **keywords):
    data, options = text.encode(), read_keywords(keywords)
    chunks = iter([data[:5], data[5:]])
    return b"".join(check_closed(chunks, options, lambda: io.BytesIO(data))).decode()


@pytest.mark.parametrize(
    ("text", "keywords"),
    [
        ('a,b\n1,"x"\n', {}),
        ('a,b\n1,5" pipe\n', {}),
        ('a,b\n1,5" pipe', {}),
        ('a,b\n1,"5"" pipe"\n', {}),
        ('a,b\n1,"x\n"', {}),
        ('a,b\n1,"x\n"\n\n', {}),
        ('a,b\n1,"x\\""\n', {"escapechar": "\\"}),
        ("a,b\n1,'x\n2,y\n", {}),
        ('a,b\n1,"x\n2,y\n', {"quoting": 3}),
        ('a,b\n"' + "x" * 200_000 + '",5" pipe\n', {}),
    ],
)
def test_closed_quotes_pass(text, keywords):
    assert check(text, **keywords) == text


@pytest.mark.parametrize(
    ("text", "keywords", "line"),
    [
        ('a,b\n1,"x\n2,y\n', {}, 2),
        ('a,b\n1,"x', {}, 2),
        ('a,b\n"1\n2",x\n3,y\n4,"', {}, 5),
        ('a,b\n1,5" pipe\n2,"x""', {}, None),  # an even number: not looked at
        ("a,b\n1,'x\n2,y\n", {"quotechar": "'"}, 2),
        ('a,b\n1,"' + "x" * 200_000, {}, 2),
    ],
)
def test_an_open_quote_is_named(text, keywords, line):
    if line is None:
        assert check(text, **keywords) == text
        return
    with pytest.raises(ValueError, match=f"a quote that is not closed, in the row of line {line}"):
        check(text, **keywords)


def test_a_quote_that_holds_more_than_a_value_may(monkeypatch):
    monkeypatch.setenv("SKLEARNISH_MAX_ROW_BYTES", "1000")
    before = csv.field_size_limit()
    with pytest.raises(ValueError, match=r"not closed, or .* than 1,000 letters.* of line 3"):
        check('a,b\n1,x\n2,"' + "3,y\n" * 1_000)
    assert csv.field_size_limit() == before


class Waits(io.BytesIO):
    """A file whose first bytes come when something has been done."""

    def __init__(self, data, act):
        super().__init__(data)
        self.act = act

    def read1(self, size=-1):
        act, self.act = self.act, lambda: None
        act()
        return super().read1(size)


def test_two_files_at_once_keep_their_limit():
    data = b'a\n"' + b"x" * 200_000 + b'"\n5" pipe\n'
    options, errors, second_reads = read_keywords({}), [], threading.Event()

    def look(act):
        try:
            list(check_closed(iter([data]), options, lambda: Waits(data, act)))
        except ValueError as error:
            errors.append(error)

    second = threading.Thread(target=look, args=[lambda: (second_reads.set(), first.join(5))])
    first = threading.Thread(target=look, args=[lambda: (second.start(), second_reads.wait(0.2))])
    first.start()
    first.join()
    second.join()
    assert errors == []
