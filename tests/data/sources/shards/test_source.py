"""Shards that the package webdataset wrote, read as it reads them."""

import os
import pickle
from collections import Counter

import fsspec
import numpy as np
import pytest
import torch

import sklearnish as sn
from sklearnish.data._fingerprint import fingerprint
from tests.data import shards
from tests.data.pictures import encoded, smooth


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    shards.write(folder / "train-%03d.tar", shards.some(10), maxcount=4)
    return folder


@pytest.fixture(scope="module")
def known(folder):
    return shards.read(sorted(folder.glob("*.tar")))


def test_samples_are_those_that_webdataset_reads(folder, known):
    ds = sn.scan_shards(f"{folder}/*.tar", {"image": "png", "row": "npy"}, target="cls")
    X, y, _ = ds.read(np.arange(10))
    assert len(known) == len(ds) == 10
    for i, sample in enumerate(known):
        np.testing.assert_array_equal(X["image"][i], sample["png"].transpose(2, 0, 1))
        np.testing.assert_array_equal(X["row"][i], sample["npy"])
        assert y[i] == sample["cls"]
    assert ds.column("key").tolist() == [sample["__key__"] for sample in known]
    assert ds.column("shard").tolist() == [sample["__url__"] for sample in known]


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("cls", lambda sample: sample["cls"]),
        ("txt", lambda sample: sample["txt"]),
        ("json.label", lambda sample: sample["json"]["label"]),
        ("json.box.width", lambda sample: sample["json"]["box"]["width"]),
        ("json.list", lambda sample: sample["json"]["list"]),
        ("npy", lambda sample: sample["npy"].tolist()),
    ],
)
def test_labels_are_those_that_webdataset_reads(folder, known, target, wanted):
    ds = sn.scan_shards(folder, "npy", target=target)
    assert ds.target.tolist() == [wanted(sample) for sample in known]
    assert sn.scan_shards(folder, "npy").target is None
    assert sn.scan_shards(folder, "npy", target=np.arange(10)).target.tolist() == list(range(10))


def test_rows_in_any_order_are_theirs(folder, known):
    ds = sn.scan_shards(folder, "npy", target="cls")
    rows = [9, 0, 0, 5, 3, 9]
    X, y, _ = ds.read(rows)
    np.testing.assert_array_equal(X, [known[row]["npy"] for row in rows])
    assert y.tolist() == [known[row]["cls"] for row in rows]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_is_an_exact_shuffle(folder, known, num_workers):
    ds = sn.scan_shards(folder, "npy")
    got = list(ds.batches(3, shuffle=True, num_workers=num_workers))
    rows = torch.cat([batch[0] if isinstance(batch, tuple) else batch for batch in got])
    order = rows[:, 0].tolist()
    assert Counter(order) == Counter(range(10))
    assert order != sorted(order)


def test_images_of_several_kinds_are_resized(tmp_path):
    samples = [
        {"__key__": "0", "cls": 0},
        {"__key__": "a", "jpg": encoded(smooth(30, 20)), "cls": 0},
        {"__key__": "b", "png": encoded(smooth(10, 10), "PNG"), "cls": 1},
    ]
    shards.write(tmp_path / "%d.tar", samples)
    assert sn.scan_shards(tmp_path, "jpg;png", target="cls", size=(8, 6)).shape == (3, 3, 8, 6)
    with pytest.raises(ValueError, match=r"sample 'b' of .*10 x 10 .* sample 'a' .*30 x 20.*size="):
        sn.scan_shards(tmp_path, "jpg;png").read([1, 2])


def damaged(folder):
    """Write six samples: one without an array, one whose array is cut."""
    samples = [{"__key__": f"{i}", "npy": np.full(3, i, "f4"), "cls": i % 2} for i in range(6)]
    del samples[2]["npy"]
    samples[4] = {"__key__": "4", "npy": b"cut", "cls": 0}
    shards.write(folder / "%d.tar", samples, maxcount=4)
    return sn.scan_shards(folder, "npy", target="cls")


def test_a_sample_that_lacks_its_rows_is_named_or_left_out(tmp_path):
    ds = damaged(tmp_path)
    with pytest.raises(ValueError, match=r"sample '2' of .*0.tar has no field 'npy'"):
        ds.read(np.arange(6))
    with pytest.raises(ValueError, match=r"The array of sample '4' of .*1.tar cannot be read"):
        ds.read([4])
    clf = sn.TorchClassifier(on_bad_rows="skip", max_epochs=1, num_workers=0, random_state=0)
    with pytest.warns(UserWarning, match="2 rows are left out"):
        clf.fit(ds)
    assert [name[:10] for name in clf.pipeline_report_.skipped] == ["sample '2'", "sample '4'"]


@pytest.mark.parametrize(
    ("X", "target", "message"),
    [
        ("jpg", "cls", "has a field 'jpg'. Fields are 'cls', 'json', 'npy', 'png', 'txt'"),
        ("npy", "json", "target='json' is no field of labels"),
        ("npy", "class", "has a field 'class'. Fields are"),
        ("txt", "cls", "X='txt' is no field of rows: these are jpg, jpeg, png, webp and npy"),
        ("npy;png", "cls", "is no field of rows"),
        ("npy", [1, 2], "the target has 2 rows and .* has 10"),
    ],
)
def test_what_does_not_fit_is_refused(folder, X, target, message):
    with pytest.raises(ValueError, match=message):
        sn.scan_shards(folder, X, target=target)


def test_a_tar_that_changed_or_was_added_is_noticed(tmp_path):
    shards.write(tmp_path / "%d.tar", shards.some(6), maxcount=3)
    ds = sn.scan_shards(tmp_path, "npy")
    shards.write(tmp_path / "more-%d.tar", shards.some(1))
    with pytest.raises(sn.DatasetChangedError, match=r"more-0.tar was added"):
        ds.source.check_unchanged()
    os.utime(tmp_path / "1.tar", (1, 1))
    assert len(ds.read([0]).X) == 1
    with pytest.raises(sn.DatasetChangedError, match=r"1.tar changed"):
        ds.read([5])
    (tmp_path / "1.tar").unlink()
    with pytest.raises(sn.DatasetChangedError, match=r"1.tar cannot be found any more"):
        ds.read([5])


def test_compressed_shards_are_refused(tmp_path):
    shards.write(tmp_path / "%d.tar.gz", shards.some(2))
    with pytest.raises(ValueError, match=r"0.tar.gz is compressed.*gunzip"):
        sn.scan_shards(tmp_path / "0.tar.gz", "npy")


def test_a_source_travels_and_is_cached(folder, tmp_path):
    ds = sn.scan_shards(folder, "npy", target="cls")
    again = pickle.loads(pickle.dumps(ds.source))
    np.testing.assert_array_equal(again.read(np.array([7]), ["X"])["X"], ds.read([7]).X)
    first, second = (ds.cache(tmp_path / "cache") for _ in range(2))
    assert torch.equal(first.read([3]).X, second.read([3]).X)


def test_shards_in_a_store_are_read_from_copies(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    local = sn.scan_shards(folder, "png", target="cls")
    (tmp_path / "bad.tar").write_bytes(next(folder.glob("*.tar")).read_bytes()[:3000])
    here = fsspec.filesystem("file")
    ds = sn.scan_shards(str(folder), "png", target="cls", filesystem=here)
    rows = np.array([9, 0, 4])
    assert ds.read(rows).X.equal(local.read(rows).X)
    assert pickle.loads(pickle.dumps(ds)).read(rows).X.equal(local.read(rows).X)
    assert (ds.target == local.target).all()
    assert ds.column("shard").tolist() == [f"file://{p}" for p in local.column("shard")]
    before = fingerprint(ds.source.identity())
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    again = sn.scan_shards(str(folder), "png", target="cls", filesystem=here)
    assert fingerprint(again.source.identity()) == before
    again.source.check_unchanged()
    with pytest.raises(ValueError, match=r"^file://.*bad\.tar is truncated"):
        sn.scan_shards(str(tmp_path / "bad.tar"), "png", filesystem=here)
