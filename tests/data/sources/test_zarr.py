"""Real Zarr stores, as the package zarr writes them."""

import json
import multiprocessing
import pickle
import shutil
import sys

import numpy as np
import pytest
import torch
import zarr
from numcodecs import blosc

import sklearnish as sn

X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
Y = np.arange(200) % 2


def written(path, form=3, x=X, y=Y, **how):
    """Write a group of two arrays."""
    group = zarr.open_group(path, mode="w", zarr_format=form)
    group.create_array("x", data=x, **({"chunks": (20, *x.shape[1:])} | how))
    group.create_array("deep/y", data=y, chunks=(50,))
    return path


def zipped(folder):
    """Pack a store."""
    return shutil.make_archive(folder, "zip", folder)


def check_whole(path, x=X):
    ds = sn.scan_zarr(path, "x", target="deep/y")
    batch = ds.read(np.arange(200))
    np.testing.assert_array_equal(batch.X.numpy(), x)
    assert batch.y.tolist() == ds.target.tolist() == Y.tolist()
    rows = [199, 3, 3, 77]
    np.testing.assert_array_equal(ds.read(rows).X.numpy(), x[rows])


@pytest.mark.parametrize(
    ("form", "how"),
    [
        (3, {}),
        (3, {"chunks": (7, 2), "compressors": None}),
        (3, {"chunks": (5, 3), "shards": (40, 3)}),
        (3, {"chunks": (64, 3), "compressors": zarr.codecs.BloscCodec(cname="lz4")}),
        (2, {}),
        (2, {"chunks": (33, 1), "order": "F", "compressors": None}),
        (2, {"compressors": blosc.Blosc()}),
    ],
)
def test_any_layout_and_compression(tmp_path, form, how):
    check_whole(written(tmp_path / "a.zarr", form, **how))
    check_whole(zipped(tmp_path / "a.zarr"))


@pytest.mark.parametrize("dtype", [">f8", "<i2", "u1", "f2", "?", ">u4", "i8"])
def test_any_numbers(tmp_path, dtype):
    values = (np.abs(X) * 3).astype(dtype)
    got = sn.scan_zarr(written(tmp_path / "a", x=values), "x").read(np.arange(200)).X.numpy()
    np.testing.assert_array_equal(got, values.astype(got.dtype))


@pytest.mark.parametrize(("form", "dtype"), [(3, str), (2, str), (2, "U6"), (2, "S6")])
def test_text_labels_are_decoded(tmp_path, form, dtype):
    words = np.array(["ab", "b", "", "c"] * 50)
    group = zarr.open_group(written(tmp_path / "a", form), mode="r+")
    group.create_array("words", shape=200, dtype=dtype, chunks=(30,))[:] = words.astype(dtype)
    ds = sn.scan_zarr(tmp_path / "a", "x", target="words")
    assert ds.target.tolist() == words.tolist()
    with pytest.raises(ValueError, match="holds string; rows must be numbers"):
        sn.scan_zarr(tmp_path / "a", "words")


def test_an_array_may_be_the_path_itself(tmp_path):
    path = written(tmp_path / "a") / "x"
    for place in (path, zipped(path)):
        ds = sn.scan_zarr(place, target=Y)
        np.testing.assert_array_equal(ds.read(np.arange(200)).X.numpy(), X)
    with pytest.raises(ValueError, match=r"x is an array itself, so it has no 'y'. Leave X out"):
        sn.scan_zarr(path, "y")


def test_stores_are_stacked(tmp_path):
    for i in range(2):
        written(tmp_path / f"{i}.zarr", 2 + i, x=X + i)
    both = np.concatenate([X, X + 1])
    for paths in (f"{tmp_path}/*.zarr", [tmp_path / "0.zarr", tmp_path / "1.zarr"]):
        ds = sn.scan_zarr(paths, {"a": "x", "b": "deep/y"})
        np.testing.assert_array_equal(ds.read(np.arange(400)).X["a"].numpy(), both)
    assert ds.source.row_name(250) == f"row 50 of {tmp_path / '1.zarr'}"


@pytest.mark.parametrize("name", ["z", "deep", "", "../a/x", "x/y"])
def test_names_that_are_no_array(tmp_path, name):
    with pytest.raises(
        ValueError, match=r"no array '.*Its arrays are 'deep/y', 'x'|cannot be opened"
    ):
        sn.scan_zarr(written(tmp_path / "a"), name)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((4, 2), complex), "holds complex64|holds complex128"),
        (np.zeros(4, [("a", "f4"), ("b", "i4")]), "holds .*'a'"),
        (np.float32(3), "is a single value"),
        (np.zeros((0, 3)), "has 0 rows"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(tmp_path, values, message):
    zarr.create_array(tmp_path / "a", data=np.asarray(values), zarr_format=2)
    with pytest.raises(ValueError, match=message):
        sn.scan_zarr(tmp_path / "a")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


PICKLE = {"id": "pickle"}


TEXT = {"filters": [{"id": "vlen-utf8"}], "dtype": "|O", "fill_value": ""}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"filters": [PICKLE]}, "cannot be opened .*pickle"),
        (TEXT | {"compressor": PICKLE}, "has pickled values in 'x', which could run any code"),
        (TEXT | {"filters": [{"id": "vlen-utf8"}, PICKLE]}, "has pickled values in 'x'"),
    ],
)
def test_pickled_values_are_refused_before_they_are_read(tmp_path, how, message):
    path = written(tmp_path / "a", 2, compressors=None) / "x"
    note = json.loads((path / ".zarray").read_text()) | how
    (path / ".zarray").write_text(json.dumps(note))
    (path / "0.0").write_bytes(pickle.dumps(Evil(str(tmp_path / "ran"))))
    with pytest.raises(ValueError, match=message):
        sn.scan_zarr(tmp_path / "a", "deep/y", target="x").read([0])
    assert not (tmp_path / "ran").exists()


def test_what_is_no_store_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.zip").write_text("a,b\n1,2\n")
    (written(tmp_path / "bad") / "zarr.json").write_text("{")
    zipped(written(tmp_path / "a"))
    (tmp_path / "cut.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:3000])
    for name in ("folder", "text.zip", "bad", "cut.zip"):
        with pytest.raises(ValueError, match=f"{name} is damaged, or holds no Zarr group or array"):
            sn.scan_zarr(tmp_path / name, "x")
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        sn.scan_zarr(tmp_path / "nowhere", "x")


def test_damaged_chunks_are_found_to_the_row_and_skipped(tmp_path):
    path = written(tmp_path / "a")
    for chunk in (3, 7):
        (path / f"x/c/{chunk}/0").write_bytes(b"damage")
    ds = sn.scan_zarr(path, "x", target="deep/y")
    with pytest.raises(ValueError, match=r"rows 60 to 79, 140 to 159 of 'x' in .*a cannot be read"):
        ds.read(np.arange(200))
    clf = sn.TorchClassifier(on_bad_rows="skip", max_epochs=1, num_workers=0, random_state=0)
    with pytest.warns(UserWarning, match="40 rows are left out"):
        clf.fit(ds)


@pytest.mark.parametrize("form", [2, 3])
def test_a_store_that_changed_is_noticed(tmp_path, form):
    path = written(tmp_path / "a", form)
    ds = sn.scan_zarr(path, "x")
    zarr.open_group(path, mode="r+")["x"][5] = 0  # replaces a chunk
    with pytest.raises(sn.DatasetChangedError, match=r"written or removed|changed since"):
        ds.source.check_unchanged()
    ds = sn.scan_zarr(path, "x")
    ds.read([0])
    written(path, form, x=X[:100])
    with pytest.raises(sn.DatasetChangedError, match="changed since it was scanned"):
        ds.read([0])


def test_a_zip_that_changed_is_noticed(tmp_path):
    path = zipped(written(tmp_path / "a"))
    ds = sn.scan_zarr(path, "x")
    zipped(written(tmp_path / "a", x=X[:100]))
    with pytest.raises(sn.DatasetChangedError, match=r"a.zip changed since it was scanned"):
        ds.read([0])


def workers_read(path, method):
    """Read an epoch inline and in processes, which are started with zarr's thread running."""
    ds, same = sn.scan_zarr(path, "x", target="deep/y"), {"shuffle": True, "random_state": 0}
    inline = list(ds.batches(16, num_workers=0, **same))
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(method, force=True)
    try:
        workers = list(ds.batches(16, num_workers=2, **same))
    finally:
        multiprocessing.set_start_method(before, force=True)
    for a, b in zip(inline, workers, strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_forked_workers_read_what_the_process_itself_reads(tmp_path, kind):
    path = written(tmp_path / "a", compressors=zarr.codecs.BloscCodec())
    for _ in range(3):
        workers_read(path if kind == "folder" else zipped(path), "fork")


@pytest.mark.slow
def test_workers_that_are_started_anew_do_so(tmp_path):
    workers_read(zipped(written(tmp_path / "a")), "spawn")


def test_a_pickle_holds_no_open_store(tmp_path):
    source = sn.scan_zarr(zipped(written(tmp_path / "a")), "x").source
    source.read(np.arange(5), ["X"])
    assert len(pickle.dumps(source)) < 3000
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.read(np.arange(5), ["X"])["X"], X[:5])


def test_without_zarr_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match=r'pip install "sklearnish\[zarr\]"'):
        sn.scan_zarr(tmp_path, "x")
