"""Real HDF5 files, as h5py writes them."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

import sklearnish as sn

X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)


def written(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


@pytest.fixture
def path(tmp_path):
    return written(tmp_path / "a.h5", x=X, y=np.arange(200) % 2)


def read(path, name="x", target=None):
    return sn.scan_hdf5(path, name, target=target).read(np.arange(200))


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"chunks": (7, 2)},
        {"chunks": (200, 3), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (64, 3), "compression": "lzf"},
        {"chunks": (10, 1), "maxshape": (None, 3)},
    ],
)
def test_any_layout_and_compression(tmp_path, how):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        file.create_dataset("x", data=X, **how)
    assert torch.equal(read(tmp_path / "a.h5").X, torch.from_numpy(X))


@pytest.mark.parametrize("dtype", [">f8", "<i2", "u1", "f2", "?", ">u4", "i8"])
def test_any_numbers(tmp_path, dtype):
    values = (np.abs(X) * 3).astype(dtype)
    got = read(written(tmp_path / "a.h5", x=values)).X
    np.testing.assert_array_equal(got.numpy(), values.astype(got.numpy().dtype))


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["Zürich", "a", "", "b"] * 50, dtype=object),
        np.array([b"a", "ü".encode(), b"", b"c"] * 50, dtype="S2"),
    ],
)
def test_text_labels_are_decoded(tmp_path, labels):
    ds = sn.scan_hdf5(written(tmp_path / "a.h5", x=X, y=labels), "x", target="y")
    wanted = [v.decode() if isinstance(v, bytes) else v for v in labels]
    assert ds.target.tolist() == wanted
    assert ds.classes[ds.read([1, 199]).y].tolist() == [wanted[1], wanted[199]]


@pytest.mark.parametrize("chunks", [None, (50,)])
@pytest.mark.parametrize("kind", ["S1", h5py.string_dtype()])
def test_text_in_another_encoding_is_not_called_damaged(tmp_path, chunks, kind):
    values = np.array([b"a"] * 150 + [b"\xe9"] * 50, dtype=object)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
        file.create_dataset("y", data=values.astype(kind), chunks=chunks)
    with pytest.raises(ValueError, match=r"rows .* to 199 of 'y' in .*The text is not UTF-8"):
        _ = sn.scan_hdf5(tmp_path / "a.h5", "x", target="y").target


def test_numbers_with_names_are_numbers(tmp_path):
    kind = h5py.enum_dtype({"red": 0, "green": 1})
    y = np.array([0, 1] * 100, kind)
    path = written(tmp_path / "a.h5", x=X, y=y)
    for target in ("y", y):
        ds = sn.scan_hdf5(path, "x", target=target)
        cached = ds.cache(tmp_path / f"{type(target).__name__}")
        assert cached.target.tolist() == ds.target.tolist() == [0, 1] * 100
        assert cached.target.dtype.metadata is None


def test_names_of_all_kinds_in_the_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/x"] = X
        file["soft"] = h5py.SoftLink("/group/x")
        file["group/up"] = h5py.SoftLink("x")
        file["circle"] = h5py.SoftLink("/circle")
        file["nowhere"] = h5py.SoftLink("/missing")
        file["outside"] = h5py.ExternalLink("/etc/passwd", "x")
    for name in ("group/x", "/group/x", "soft", "group/up"):
        assert torch.equal(read(tmp_path / "a.h5", name).X, torch.from_numpy(X))
    for name, message in [
        ("circle", "leads in a circle"),
        ("nowhere", "no dataset 'nowhere'. Its datasets are 'group/x'"),
        ("outside", "only as a link to another file, /etc/passwd, which is not followed"),
        ("outside/x", "only as a link to another file"),
        ("group", "has a group, not a dataset, 'group'. Its datasets are 'group/x'"),
        ("group/x/y", "no dataset"),
        ("", "a group, not a dataset"),
    ]:
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "a.h5", name)


def test_rows_in_other_files_are_refused(tmp_path):
    (tmp_path / "raw").write_bytes(bytes(800))
    layout = h5py.VirtualLayout((200, 3), "f4")
    layout[:] = h5py.VirtualSource(str(written(tmp_path / "b.h5", x=X)), "x", (200, 3))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("external", (200,), "f4", external=[(str(tmp_path / "raw"), 0, 800)])
    for name, kind in (("virtual", "a virtual dataset"), ("external", "external storage")):
        with pytest.raises(ValueError, match=f"a.h5 keeps the rows of '{name}' in other .*{kind}"):
            read(tmp_path / "a.h5", name)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(4, dtype=[("a", "f4"), ("b", "i4")]), "holds records .'a', 'b'. in 'x'"),
        (np.zeros(4, dtype=complex), "holds complex128"),
        (np.float32(3), "'x' is a single value"),
        (np.zeros((0, 3)), "has 0 rows"),
        (h5py.Empty("f4"), "'x' is a single value"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        read(written(tmp_path / "a.h5", x=values))


def test_lists_of_any_length_and_references_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (4,), h5py.vlen_dtype(np.int32))
        file.create_dataset("r", (4,), h5py.ref_dtype)
    for name in "xr":
        with pytest.raises(ValueError, match="holds objects, such as references or lists"):
            read(tmp_path / "a.h5", name)


def test_a_filter_that_is_not_installed_is_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((10,))
        created.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (0,) * 7)
        space = h5py.h5s.create_simple((200,))
        h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_FLOAT, space, created)
    with pytest.raises(ValueError, match=r"a filter that HDF5 does not have .*32001.*hdf5plugin"):
        read(tmp_path / "a.h5")


def test_files_that_are_no_hdf5_are_named(tmp_path, path):
    whole = path.read_bytes()
    for name, data in (("cut.h5", whole[: len(whole) // 2]), ("text.h5", b"a,b\n1,2\n" * 99)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"{name} is truncated or damaged, or not an HDF5"):
            read(tmp_path / name)


def test_damaged_chunks_are_found_to_the_row_and_skipped(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        x = file.create_dataset("x", data=X, chunks=(20, 3), compression="gzip", fletcher32=True)
        places = [x.id.get_chunk_info(i).byte_offset for i in (3, 7)]
    with (tmp_path / "a.h5").open("r+b") as raw:
        for place in places:
            raw.seek(place + 30)
            raw.write(b"damage")
    ds = sn.scan_hdf5(tmp_path / "a.h5", "x", target=np.arange(200) % 2)
    with pytest.raises(
        ValueError, match=r"rows 60 to 79, 140 to 159 of 'x' in .*a.h5 cannot be read.*damaged"
    ):
        ds.read(np.arange(200))
    clf = sn.TorchClassifier(on_bad_rows="skip", max_epochs=1, num_workers=0, random_state=0)
    with pytest.warns(UserWarning, match="40 rows are left out"):
        clf.fit(ds)
    assert clf.pipeline_report_.skipped == tuple(
        f"row {a} of {tmp_path / 'a.h5'} to row {b} of {tmp_path / 'a.h5'}"
        for a, b in ((60, 79), (140, 159))
    )


@pytest.mark.parametrize("place", ["name", "heap"])
def test_a_damaged_table_of_contents_is_an_error_that_names_the_file(tmp_path, place):
    data = bytearray(written(tmp_path / "a.h5", **{"group/x": X}).read_bytes())
    start = data.index(b"TREE" if place == "name" else b"HEAP")
    data[start : start + 4] = b"----"
    (tmp_path / "a.h5").write_bytes(data)
    with pytest.raises(ValueError, match=r"a.h5.*(cannot be opened|has no dataset)"):
        read(tmp_path / "a.h5", "group/x")


def test_nan_is_named_by_its_row(tmp_path):
    values = X.copy()
    values[123, 1] = np.nan
    ds = sn.scan_hdf5(written(tmp_path / "a.h5", x=values), "x", target=np.arange(200) % 2)
    with pytest.raises(ValueError, match=r"row 123 of .*a.h5"):
        sn.TorchClassifier(max_epochs=1, num_workers=0).fit(ds)


def test_a_file_that_changed_is_noticed(path):
    ds = sn.scan_hdf5(path, "x")
    written(path, x=X[:100], y=np.zeros(100))
    for see in (lambda: ds.read([0]), ds.source.check_unchanged):
        with pytest.raises(sn.DatasetChangedError, match=r"a.h5 changed since it was scanned"):
            see()


def test_a_file_that_was_added_is_noticed(path):
    ds = sn.scan_hdf5(path.parent, "x")
    written(path.parent / "b.h5", x=X)
    with pytest.raises(sn.DatasetChangedError, match=r"b.h5 was added"):
        ds.source.check_unchanged()


def test_a_file_that_is_being_written_is_refused(path):
    with h5py.File(path, "r+"), pytest.raises(BlockingIOError, match=r"a.h5 is open for writing"):
        read(path)
    code = "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print(flush=True); input()"
    writer = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    writer.stdout.readline()
    with pytest.raises(BlockingIOError, match=r"a.h5 is open for writing"):
        read(path)
    writer.communicate(b"\n")


def test_no_handle_stays_open(path):
    ds = sn.scan_hdf5(path, "x", target="y")
    list(ds.batches(16, num_workers=0))
    h5py.File(path, "r+").close()  # writers are not locked out between reads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")
def test_worker_processes_read_what_the_process_itself_reads(path):
    ds, own = sn.scan_hdf5(path, "x", target="y"), h5py.File(path)  # open here, across the fork
    same = {"shuffle": True, "random_state": 0}
    inline = list(ds.batches(16, num_workers=0, **same))
    workers = list(ds.batches(16, num_workers=2, **same))
    own.close()
    for a, b in zip(inline, workers, strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])


def test_without_h5py_the_cure_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'pip install "sklearnish\[hdf5\]"'):
        sn.scan_hdf5(path, "x")
