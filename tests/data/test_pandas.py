import pathlib
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sklearnish.data import _pandas, scan_parquet
from sklearnish.data._as_dataset import as_dataset

FRAME = pd.DataFrame(
    {
        "a": np.arange(10),
        "city": ["Bern", None] * 5,
        "x": np.linspace(0, 1, 10, dtype=np.float32),
        "label": [f"class {i % 2}" for i in range(10)],
    }
)


def assert_same(frame, expected):
    pd.testing.assert_frame_equal(
        *(f.astype(object).where(f.notna(), None).reset_index(drop=True) for f in (frame, expected))
    )


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    path = tmp_path_factory.mktemp("display") / "frame.parquet"
    FRAME.to_parquet(path, row_group_size=4)
    return scan_parquet(path, target="label")


def test_to_pandas_gives_the_columns_as_stored(ds):
    assert_same(ds.to_pandas(), FRAME)
    assert ds.to_pandas().dtypes[["a", "x"]].tolist() == [np.dtype("int64"), np.dtype("float32")]


@pytest.mark.parametrize("rows", [[3, 1, 1, 9], slice(None, None, -3), []])
def test_to_pandas_of_any_view(ds, rows):
    assert_same(ds[rows].to_pandas(), FRAME.iloc[rows])


def test_a_limit_reads_no_more(ds):
    view = scan_parquet(ds.source.files)
    assert len(view.to_pandas(limit=3)) == len(view.head(3)) == 3
    assert view.source.blocks_read == 2
    assert len(ds.head()) == 5
    assert len(ds.head(100)) == 10


@pytest.mark.parametrize(
    ("y", "names"), [([0, 1], ["target"]), ([[0, 1], [1, 0]], ["target0", "target1"])]
)
def test_attached_labels_follow_the_features(y, names):
    frame = as_dataset([[1.0, 2.0], [3.0, 4.0]], y=y).to_pandas()
    assert frame.columns.tolist() == [0, 1, *names]
    np.testing.assert_array_equal(frame[names].to_numpy().squeeze(), y)


def test_several_target_columns(ds):
    frame = scan_parquet(ds.source.files, target=["x", "label"]).to_pandas()
    assert_same(frame, FRAME[["a", "city", "x", "label"]])


def test_functions_are_applied(ds):
    view = ds.select(["x", "a"]).map(lambda x: x * 2)
    assert view.to_pandas(3)["a"].tolist() == [0, 2, 4]
    wide = view.map_batches(lambda X: torch.cat([X, X], 1))
    assert wide.to_pandas(2).columns.tolist() == [0, 1, 2, 3, "label"]


def test_columns_of_lists_stay_lists(tmp_path):
    frame = pd.DataFrame({"v": [[1.0, 2.0], [3.0, 4.0]], "a": [1, 2]})
    schema = pa.schema([("v", pa.list_(pa.float32(), 2)), ("a", pa.int64())])
    pq.write_table(pa.Table.from_pandas(frame, schema), tmp_path / "v.parquet")
    shown = scan_parquet(tmp_path).to_pandas()
    assert [list(v) for v in shown["v"]] == [[1.0, 2.0], [3.0, 4.0]]
    assert scan_parquet(tmp_path).shape == (2, 3)


def test_too_many_rows_are_refused_with_the_way_out(ds, monkeypatch):
    monkeypatch.setattr(_pandas, "_ARRAY_CAP", 16)
    numbers = ds.select(["a", "x"])
    with pytest.raises(ValueError, match=r"for a DataFrame.*ds\[:2\].*scales its inputs itself"):
        numbers.to_pandas()
    assert len(numbers.to_pandas(2)) == 2


def test_images_are_no_table():
    with pytest.raises(ValueError, match=r"Rows of shape \(2, 2\) are not a table"):
        as_dataset(np.zeros((3, 2, 2))).head()


def test_repr_shows_what_a_data_frame_shows(ds):
    text = repr(ds)
    assert "Bern" in text
    assert "[10 rows x 3 columns]" in text
    assert "target: label" in text
    assert text.endswith(f"from: {ds.source.name}")
    assert len(text.splitlines()) == 10


@pytest.mark.parametrize(
    ("X", "size"),
    [
        (np.zeros((2, 3)), "[2 rows x 3 columns]"),
        (np.zeros((2, 3, 4)), "[2 rows x 3 x 4]"),
        (np.zeros(2), "[2 rows, one value each]"),
        (
            {"a": np.zeros((2, 3)), "b": [1, 2]},
            "[2 rows, dicts of 'a' of shape (3,), 'b' of shape ()]",
        ),
    ],
)
def test_repr_of_arrays(X, size):
    text = repr(as_dataset(X, y=[0, 1]))
    assert size in text
    assert "target: array of shape (2,)" in text
    assert "[0 rows" in repr(as_dataset(X)[:0])


def test_a_notebook_shows_the_first_rows_with_kinds_and_gaps(tmp_path):
    frame = pd.DataFrame({"<a>": np.arange(20), "b": ["<i>", None] * 10, "label": 0.5})
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=5)
    ds = scan_parquet(tmp_path / "rows.parquet", target="label")
    html = ds._repr_html_()
    assert ds.source.blocks_read == 1
    head = [re.findall(r"<th>(.*?)</th>", row) for row in html.split("<tr")[1:4]]
    assert head == [
        ["", "&lt;a&gt;", "b", "label"],
        ["kind", *ds.dtypes.values(), "float64"],
        ["missing here", "0", "2", "0"],
    ]
    assert html.count("<tr") == 3 + 5
    assert "<td>&lt;i&gt;</td>" in html
    assert "<i>" not in html
    assert f"<p>[20 rows x 2 columns]<br>target: label<br>from: {ds.source.name}</p>" in html


def test_a_notebook_shows_what_functions_made_and_what_is_no_table():
    kinds = as_dataset([[1.0, 2.0]]).map_batches(lambda X: X[:, :1])._repr_html_()
    assert "<th>float32</th>" in kinds
    images = as_dataset(np.zeros((2, 3, 4)))._repr_html_()
    assert images.startswith("<div><p>[2 rows x 3 x 4]<br>from: ")


def test_of_many_columns_only_those_shown_are_read(tmp_path):
    wide = pd.DataFrame(np.zeros((3, 40)), columns=[f"c{i}" for i in range(40)]).assign(y=1)
    wide.to_parquet(tmp_path / "wide.parquet")
    ds = scan_parquet(tmp_path / "wide.parquet", target="y")
    read, columns = ds.source.read, []
    object.__setattr__(
        ds.source, "read", lambda rows, names: columns.append(names) or read(rows, names)
    )
    html = ds._repr_html_()
    shown = ["c0", "c1", "c2", "c3", "c4", "...", "c36", "c37", "c38", "c39", "y"]
    assert [name for name in re.findall(r"<th>(.*?)</th>", html) if name in [*wide, "..."]][
        :11
    ] == shown
    assert max(map(len, columns)) <= 12
    assert "[3 rows x 40 columns]" in html
    assert "c36" in repr(ds)


def test_of_many_columns_without_names_the_numbers_are_shown():
    ds = as_dataset(np.arange(40_000.0).reshape(2, 20_000), y=[7, 8])
    assert repr(ds).split()[:11] == [
        "0",
        "1",
        "2",
        "3",
        "4",
        "...",
        *map(str, range(19_996, 20_000)),
        "target",
    ]
    assert "39999.0" in repr(ds[:, ::-1][:, ::-1])
    assert repr(ds.map(lambda x: x)).split()[:6] == ["0", "1", "2", "3", "4", "..."]


class Counted(torch.utils.data.Dataset):
    def __init__(self, fails=False):
        self.read, self.fails = [], fails

    def __len__(self):
        return 1000

    def __getitem__(self, i):
        self.read.append(i)
        if self.fails and i:
            raise RuntimeError("<no> such item")
        return torch.zeros(2), f"label {i % 3}"


def test_of_a_torch_dataset_few_items_are_read():
    items = Counted()
    ds = as_dataset(items)
    items.read.clear()
    assert "label 2" in repr(ds)
    assert "label 2" in ds._repr_html_()
    assert set(items.read) <= set(range(5))
    assert ds.head(7)["y"].tolist() == [f"label {i % 3}" for i in range(7)]


@pytest.mark.parametrize("change", [pathlib.Path.unlink, lambda path: path.write_bytes(b"other")])
def test_what_cannot_be_read_is_shown_with_its_error(tmp_path, change):
    path = tmp_path / "rows.parquet"
    FRAME.to_parquet(path)
    ds = scan_parquet(path, target="label")
    change(path)
    for text in (repr(ds), ds._repr_html_(), repr(ds.map(abs)), ds.map(abs)._repr_html_()):
        assert "[10 rows" in text
        assert "target: label" in text
        assert "The rows cannot be shown: " in text
        assert "rows.parquet" in text.split("cannot be shown: ")[1]


def test_a_function_that_fails_is_named():
    def broken(x):
        raise KeyError("<b>")

    text = as_dataset(np.zeros((3, 2))).map(broken)._repr_html_()
    assert "<b>" not in text
    assert "KeyError" in text
    assert "&lt;no&gt; such item" in as_dataset(Counted(fails=True))._repr_html_()


def test_columns_of_every_kind_are_shown_as_pandas_reads_them(tmp_path):
    frame = pd.DataFrame({"text": ["b", None, "a"], "n": [1, 2, 3]})
    frame["kind"] = frame["text"].astype("category")
    frame["at"] = pd.to_datetime(["2020-01-01", None, "2020-01-03"])
    frame["took"] = frame["at"] - frame["at"][0]
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=2)
    read = pd.read_parquet(tmp_path / "t.parquet")
    for ds in (scan_parquet(tmp_path / "t.parquet"), as_dataset(frame)):
        rows = [2, 0, 0, 1]
        shown = ds[rows].to_pandas()
        kinds = [str(dtype).split("[")[0] for dtype in shown.dtypes]
        assert kinds == [str(dtype).split("[")[0] for dtype in read.dtypes]
        assert_same(shown, read.iloc[rows])
        assert ds.head(1)["kind"].cat.categories.tolist() == ["a", "b"]


def test_values_that_a_copy_sets_are_shown_beside_text(ds):
    copied = ds.copy()
    copied[:, "x"] = 7.0
    assert copied.head(2)["x"].tolist() == [7.0, 7.0]
    assert copied.head(1)["city"].tolist() == ["Bern"]
