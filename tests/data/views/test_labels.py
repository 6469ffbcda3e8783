import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset

from sklearnish.data import scan_parquet
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._views.attached import with_codes
from sklearnish.data._views.labels import find_classes, number_text
from tests.data.labelled import FRAME, N


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "frame.parquet"
    FRAME.to_parquet(path, row_group_size=7)
    return path


@pytest.fixture(scope="module")
def ds(path):
    return scan_parquet(path, target="label", weight="w")


def test_any_column_is_read_for_the_rows_of_the_view(path):
    ds = scan_parquet(path, target="label", columns=["a"])
    rows = np.array([30, 2, 2, 49])
    for name in FRAME:
        np.testing.assert_array_equal(ds.column(name), FRAME[name])
        np.testing.assert_array_equal(ds[rows].column(name), FRAME[name][rows])
    few = scan_parquet(path)
    for times in (1, 2):  # text is not kept
        few[rows].column("label")
        assert few.source.rows_read == times * (7 + 7 + 1)  # three of eight row groups
    with pytest.raises(ValueError, match="has no column 'nope'"):
        ds.column("nope")


@given(st.slices(N), st.slices(N))
def test_a_column_of_a_view_of_a_view(ds, first, second):
    view = ds[first][second]
    np.testing.assert_array_equal(view.weight, FRAME["w"].to_numpy()[first][second])


def test_the_labels_of_a_file_are_read_once_for_all_views(path):
    ds = scan_parquet(path, target="label")
    for view in (ds, ds[::2], ds[[3, 1]], ds.map(torch.neg)):
        assert len(view.target) == len(view)
    assert ds.source.rows_read == N


def test_several_targets(path):
    ds = scan_parquet(path, target=["b", "w"], columns=["a"])[::-1]
    y = ds.read([0, 5]).y
    np.testing.assert_array_equal(y, ds.target[[0, 5]].astype(np.float32))
    assert ds.target.shape == (N, 2)
    assert ds.target[0, 0] == -(N - 1)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "uint64", ">i4", "float16", "longdouble"]
)
def test_labels_of_any_type_of_number(dtype):
    y = np.array([1, 0, 1]).astype(dtype)
    ds = as_dataset(np.zeros((3, 1)), y=y)
    tensor = ds.read([2, 1]).y
    assert tensor.tolist() == [1, 0]
    assert tensor.is_floating_point() == (y.dtype.kind == "f")


def test_text_labels_become_their_number_among_the_classes():
    ds = as_dataset(np.zeros((4, 1)), y=["b", "a", "c", "a"])
    assert ds.read([0, 1, 2, 3]).y.tolist() == [1, 0, 2, 0]


def test_labels_with_nulls_in_some_blocks_keep_one_type(tmp_path):
    n = 300_000
    labels = pd.array(np.arange(n), dtype="Int64")
    labels[n - 1] = pd.NA
    frame = pd.DataFrame({"a": np.zeros(n, np.float32), "label": labels, "w": labels})
    frame.to_parquet(tmp_path / "f.parquet", row_group_size=50_000)
    ds = scan_parquet(tmp_path / "f.parquet", target="label", weight="w", columns=["a"] * 8)
    order = np.random.default_rng(0).permutation(n)
    batch = ds.read(order)
    expected = np.where(order == n - 1, np.nan, order).astype(np.float32)
    np.testing.assert_array_equal(batch.y.numpy(), expected)
    np.testing.assert_array_equal(batch.weight.numpy(), expected)


def test_text_labels_have_one_number_in_all_views(tmp_path):
    frame = pd.DataFrame({"a": range(6), "label": ["cat", "dog", "emu"] * 2})
    frame.to_parquet(tmp_path / "f.parquet")
    in_file = scan_parquet(tmp_path / "f.parquet", target="label")
    attached = as_dataset(np.zeros((6, 1)), y=["cat", "dog", "emu"] * 2)
    for ds in (in_file, attached, pickle.loads(pickle.dumps(attached[[1, 2]])), attached[::-1]):
        for view in (ds, ds[[0, 1]], ds[1:2]):
            for _, y in view.batches(10):
                assert view.classes[y.numpy()].tolist() == view.target.tolist()
                assert view.classes.tolist() == ["cat", "dog", "emu"]


@pytest.mark.parametrize("missing", [None, np.nan, float("nan")])
def test_a_missing_label_names_its_row(missing):
    labels = np.array(["a", "b", missing, "a"], dtype=object)
    with pytest.raises(ValueError, match="missing in row 2 of the table"):
        find_classes(labels, "the table")


def test_a_missing_text_label_is_named(tmp_path):
    pd.DataFrame({"a": [1, 2], "label": ["x", None]}).to_parquet(tmp_path / "f.parquet")
    ds = scan_parquet(tmp_path / "f.parquet", target="label")
    with pytest.raises(ValueError, match=r"missing in row 1 of .*f\.parquet"):
        next(ds.batches(2))


def test_known_labels_cannot_be_written_to(path):
    target = scan_parquet(path, target="label").target
    with pytest.raises(ValueError, match="read-only"):
        target[0] = 5


# Labels that come with rows

NAMES = np.array(["cat", "dog"])


class Drawn(Dataset):
    """The label is drawn, and the row is made of it."""

    def __init__(self, text=False, n=60):
        self.text, self.n = text, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        k = int(torch.randint(2, ()))
        return torch.tensor([float(k), float(i)]), str(NAMES[k]) if self.text else k


class Unseeded(Drawn):
    """Nothing can make it draw the same again."""

    def __getitem__(self, i):
        k = int(np.random.default_rng().integers(2))
        return torch.tensor([float(k)]), k


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_row_and_its_label_come_from_one_call(text, num_workers):
    ds = as_dataset(Drawn(text))
    codes = np.searchsorted(ds.classes, ds.target)
    view = with_codes(ds, codes, lambda y: 10 * np.searchsorted(ds.classes, y))[5:]
    labels = []
    with prepare_loader(view, batch_size=20, epochs=2, num_workers=num_workers) as loader:
        for _ in range(2):
            for X, y, _ in loader:
                assert torch.equal(X[:, 0], (y > 0).float())
                labels.append(y)
    assert 10 in torch.cat(labels), "labels that differ from those before are encoded"


@pytest.mark.parametrize("text", [False, True])
def test_outside_of_training_a_row_is_always_the_same(text):
    ds = as_dataset(Drawn(text))
    order = np.random.default_rng(0).permutation(60)
    X, y, _ = with_codes(ds, np.searchsorted(ds.classes, ds.target))[order].read(np.arange(60))
    assert torch.equal(X[:, 0], y.float())
    assert ds[order].target.tolist() == [ds.classes[k] for k in y]
    one, label = ds[7]
    assert ds.classes[int(one[0])] == ds.target[7] == (ds.classes[label] if text else label)


def test_a_label_that_cannot_be_had_again_is_an_error():
    ds = as_dataset(Unseeded())
    with pytest.raises(ValueError, match=r"Unseeded\[\d+\] has the label .* before: its label cha"):
        with_codes(ds, ds.target).read(np.arange(60))


class Counted(Drawn):
    """Each call gives a label of its own."""

    calls = 0

    def __getitem__(self, i):
        self.calls += 1
        return torch.zeros(1), self.calls


def test_a_label_that_changes_is_named_by_its_row():
    view = with_codes(as_dataset(Counted()), np.zeros(60))[10:]
    with pytest.raises(ValueError, match=r"Counted\[17\] has the label \d+, but had \d+ before"):
        view.read([7, 3])


def test_labels_that_are_given_stay():
    given = with_codes(as_dataset(Drawn()), np.zeros(60)).with_target(np.full(60, 3))
    assert given.read([1, 2]).y.tolist() == [3, 3]


def test_text_that_is_no_class_has_no_number():
    assert number_text(np.array(["dog", "cat"]), NAMES).tolist() == [1, 0]
    with pytest.raises(ValueError, match="The label 'cow' is new"):
        number_text(np.array(["cat", "cow"]), NAMES)


def test_a_column_of_few_blocks_is_read_of_these_alone(tmp_path):
    y = np.arange(100)
    pq.write_table(pa.table({"a": y * 1.0, "y": y}), tmp_path / "a.parquet", row_group_size=10)
    ds = scan_parquet(tmp_path, target="y")
    for rows in (slice(20, 40), np.array([35, 20, 20, 39]), np.array([-1])):
        before = ds.source.blocks_read
        np.testing.assert_array_equal(ds[rows].target, y[rows])
        assert ds.source.blocks_read - before == len({row // 10 for row in y[rows]})
    for _ in range(20):
        assert ds[5:9].target.tolist() == [5, 6, 7, 8]
    assert ds.source.rows_read <= 2 * 100, "it is held once as many were read as there are"
    np.testing.assert_array_equal(ds.target, y)
    held = ds.source.blocks_read
    np.testing.assert_array_equal(ds[30:40].target, y[30:40])
    assert ds.source.blocks_read == held


def test_the_type_of_labels_is_that_of_the_rows_whatever_was_read_before(tmp_path):
    y = pa.array([*range(99), None])
    pq.write_table(
        pa.table({"a": np.arange(100.0), "y": y}), tmp_path / "a.parquet", row_group_size=10
    )
    for first in (slice(0, 10), slice(None)):
        ds = scan_parquet(tmp_path, target="y")
        assert len(ds[first].target) in (10, 100)
        assert ds[:10].target.dtype == ds[:99].target.dtype == np.int64
        assert ds.target.dtype == ds[-5:].target.dtype == np.float64
