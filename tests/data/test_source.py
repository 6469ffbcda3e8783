import numpy as np
import pytest
from torch import nn

import sklearnish as sn
from sklearnish.data._source import Field, Source
from tests.data.scanned import PIXELS, SCANS, N, Y


class Squares(Source):
    name = "squares"
    n_rows = 5

    def __init__(self):
        self.schema = {"X": Field("float64")}

    def read(self, rows, columns):
        return dict.fromkeys(columns, rows**2.0)


def test_a_source_answers_without_more_than_read():
    source = Squares()
    assert source.blocks is None
    assert not source.in_memory
    assert source.tabular
    assert source.labels("X") is None
    assert source.row_name(3) == "row 3 of squares"
    source.check_unchanged()
    assert source.read(np.array([2, 3]), ["X"])["X"].tolist() == [4, 9]
    pieces = source.read_each([np.array([2]), np.array([3])], ["X"])
    assert [piece["X"].tolist() for piece in pieces] == [[4], [9]]


def test_a_source_must_read():
    with pytest.raises(TypeError, match=r"abstract method '?read"):
        Source()


def test_a_field_is_a_number_in_each_row_unless_it_says_more():
    assert (Field("int8").kind, Field("int8").shape) == ("number", ())


@pytest.fixture(params=SCANS, ids=lambda scan: scan.__name__)
def write(request, tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    return lambda pixels: request.param(tmp_path, pixels)


class Counted(nn.Module):
    """Counts the batches that it is trained with."""

    n_batches = 0

    def __init__(self, out_features):
        super().__init__()
        self.last = nn.Linear(2, out_features)

    def forward(self, X):
        Counted.n_batches += self.training
        return self.last(X.float().flatten(1)[:, :2] / 255)


def fitted(ds, folder):
    """Fit, and count the batches."""
    Counted.n_batches = 0
    settings = {"max_epochs": 1, "batch_size": 4, "num_workers": 0, "random_state": 0}
    sn.TorchClassifier(Counted, checkpoint_dir=folder, **settings).fit(ds)
    return Counted.n_batches


def test_what_the_cache_folder_has_of_private_files_is_private(write, tmp_path):
    scan = write(PIXELS)
    for path in tmp_path.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    ds = scan()
    list(ds.batches(4, shuffle=True, random_state=0, num_workers=0))
    kept = [path for path in (tmp_path / "cache").glob("*") if path.is_file()]
    assert [path.name for path in kept if path.stat().st_mode & 0o077] == []


def test_fits_on_any_source_are_resumed_while_its_rows_are_the_same(write, tmp_path):
    scan = write(PIXELS)
    assert [fitted(scan(), tmp_path / "fit") for _ in range(2)] == [N // 4, 0]
    assert fitted(write(PIXELS[::-1])(), tmp_path / "fit") == N // 4


def test_any_source_can_be_cached_and_other_rows_are_not_taken_for_the_same(write, tmp_path):
    scan = write(PIXELS)
    for _ in range(2):
        ds = scan()
        cached = ds.cache(tmp_path / "copy")
        np.testing.assert_array_equal(np.asarray(cached), np.asarray(ds))
        assert list(map(int, cached.target)) == list(map(int, ds.target))
        assert sorted(map(int, ds.target)) == sorted(Y)
    with pytest.raises(FileExistsError, match="holds other rows"):
        write(PIXELS[::-1])().cache(tmp_path / "copy")
