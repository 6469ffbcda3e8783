"""Damaged files."""

import gzip
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import sklearnish as sn
from tests.faults import _data
from tests.faults._cells import Cell

NAMED = "ValueError names file and place"
WORKERS = [0, "auto", pytest.param(2, marks=pytest.mark.slow)]

OPEN = [
    Cell(
        "a bit flipped in a Parquet page without checksum",
        "Parquet",
        "ValueError",
        "an error, or other values: only a checksum can tell. Write with write_page_checksum=True",
    ),
    Cell(
        "a row with missing or extra fields, on_bad_rows='skip'",
        "CSV",
        "the row is left out and listed",
        "scan_csv refuses the file, before there is an estimator",
    ),
    Cell(
        "a damaged row group, on_bad_rows='skip'",
        "Parquet, row groups larger than a window",
        "its rows are left out and listed",
        "ValueError: such files are copied into the cache, and a damaged one cannot be",
    ),
    Cell(
        "a bit flipped in numbers",
        "npy, CSV, copy of CSV, ds.cache folder",
        "ValueError",
        "other values: these formats hold no checksums",
    ),
]


def flip(path, offset):
    """Flip one bit."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def cut(path, share):
    """Keep a share of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def fails(cell, action, *places):
    """Expect a ValueError that names all places."""
    with pytest.raises(ValueError, match=r".") as caught:
        action()
    text = str(caught.value)
    for place in places:
        assert re.search(place, text), f"{place!r} is not in: {text}"
    cell.found = "named: " + ", ".join(p.replace("\\", "") for p in places)


def read(ds, num_workers=0):
    """Go through all rows."""
    return lambda: list(ds.batches(16, num_workers=num_workers))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_truncated_parquet(tmp_path, cell, share):
    here = cell("truncated", "Parquet", NAMED)
    _, path = _data.scan("Parquet", tmp_path)
    cut(path, share)
    fails(here, lambda: sn.scan_parquet(tmp_path), r"b\.parquet", "truncated")


@pytest.mark.parametrize("num_workers", WORKERS)
@pytest.mark.parametrize("compression", ["snappy", "none"])
def test_a_flipped_bit_in_a_page_with_a_checksum(tmp_path, cell, num_workers, compression):
    here = cell("a bit flipped in a page with a checksum", "Parquet", NAMED)
    path = tmp_path / "a.parquet"
    x = np.random.default_rng(0).random(1000)
    pq.write_table(
        pa.table({"x": x, "y": np.arange(1000) % 2}),
        path,
        row_group_size=250,
        write_page_checksum=True,
        use_dictionary=False,
        compression=compression,
    )
    column = pq.read_metadata(path).row_group(2).column(0)
    flip(path, column.data_page_offset + column.total_compressed_size // 2)
    ds = sn.scan_parquet(path, target="y")
    fails(here, read(ds, num_workers), r"row group 2 of .*a\.parquet")


def test_a_row_group_shorter_than_the_footer_says(tmp_path, cell):
    here = cell("a footer that promises other rows", "Parquet", NAMED)
    path = tmp_path / "a.parquet"
    rows = 0x1234
    pq.write_table(pa.table({"x": np.zeros(rows)}), path)
    data = path.read_bytes()
    count = _zigzag(rows)
    assert data.count(count) >= 2
    where = data.rindex(count)  # the last of the footer: rows of the row group
    path.write_bytes(data[:where] + _zigzag(rows - 1) + data[where + len(count) :])
    fails(here, lambda: list(sn.scan_parquet(path).batches(16)), r"a\.parquet")


def _zigzag(n):
    """Write a number as Thrift's compact protocol does."""
    n, out = n << 1, b""
    while n > 127:
        n, out = n >> 7, out + bytes([n & 127 | 128])
    return out + bytes([n])


@pytest.mark.parametrize(
    ("line", "message"),
    [("1", "Expected 3 columns, got 1"), ("1,2,3,4", "Expected 3 columns, got 4")],
)
def test_rows_with_missing_or_extra_fields(tmp_path, cell, line, message):
    here = cell("a row with missing or extra fields", "CSV", NAMED)
    path = tmp_path / "a.csv"
    path.write_text("a,b,y\n" + "1,2,0\n" * 50 + line + "\n" + "1,2,1\n" * 50)
    fails(here, lambda: sn.scan_csv(path), r"a\.csv", "data row 50", message)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_packed_csv_cut_short(tmp_path, cell, share):
    here = cell("truncated", "CSV, gzip", NAMED)
    path = tmp_path / "a.csv.gz"
    numbers = np.random.default_rng(0).random(200_000)
    path.write_bytes(gzip.compress("\n".join(["x", *map(str, numbers)]).encode(), 1))
    cut(path, share)
    fails(here, lambda: sn.scan_csv(path), r"a\.csv\.gz")


def test_a_quote_that_is_not_closed(tmp_path, cell, monkeypatch):
    here = cell("a quote that is not closed", "CSV", NAMED)
    monkeypatch.setenv("SKLEARNISH_MAX_ROW_BYTES", str(2**20))
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,x\n2,"y\n' + "3,z\n" * 1_000_000)
    fails(here, lambda: sn.scan_csv(path), r"a\.csv", "quote that is not closed")


def _picture(form, noise):
    """Encode a picture of noise."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(noise).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize("num_workers", WORKERS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("where", ["folder", "tar"])
def test_a_truncated_picture(tmp_path, cell, form, where, num_workers):
    here = cell(f"a truncated {form}", f"images in a {where}", NAMED)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = _picture(form, noise)
    name = f"07.{form.lower()}"
    folder = tmp_path / "images"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for i in range(10):
            (folder / label / f"{i:02}.{form.lower()}").write_bytes(data)
    (folder / "dog" / name).write_bytes(data[: len(data) * 3 // 4])
    if where == "tar":
        import tarfile

        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            tar.add(folder, arcname="images")
        ds, places = sn.scan_images(tmp_path / "a.tar"), (rf"dog/{name} in .*a\.tar",)
    else:
        ds, places = sn.scan_images(folder), (rf"dog/{name}",)
    fails(here, read(ds, num_workers), *places)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_tar(tmp_path, cell, share):
    here = cell("truncated", "images in a tar", NAMED)
    _, path = _data.scan("images in a tar", tmp_path)
    cut(path, share)
    fails(here, lambda: sn.scan_images(path), r"a\.tar is truncated")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_npy(tmp_path, cell, share):
    here = cell("truncated", "npy", NAMED)
    _, path = _data.scan("npy", tmp_path)
    cut(path, share)
    fails(here, lambda: sn.scan_npy(tmp_path), r"b\.npy")


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_truncated_copy_of_a_csv(tmp_path, cell, share):
    here = cell("truncated", "copy of CSV", "made again, with a warning that names it")
    _, path = _data.scan("copy of CSV", tmp_path)
    cut(path, share)
    with pytest.warns(UserWarning, match=rf"is made again: {re.escape(str(path))}"):
        ds = sn.scan_csv(tmp_path / "a.csv")
    assert len(ds) == _data.ROWS
    here.found = "made again"


SKIPPED = "left out, counted and listed; the fit is that of the other rows"


@pytest.mark.parametrize("bad", [0, 48 + 7])
@pytest.mark.parametrize("num_workers", WORKERS)
def test_damaged_pictures_are_skipped(tmp_path, cell, num_workers, bad):
    here = cell("damaged images, on_bad_rows='skip'", "images in folders", SKIPPED)
    whole, _ = _data.scan("images in folders", tmp_path)
    path = Path(whole.source.row_name(bad))
    path.write_bytes(path.read_bytes()[:40])
    ds = sn.scan_images(tmp_path)
    rows = np.delete(np.arange(len(ds)), bad)
    settings = {"max_epochs": 2, "batch_size": 16, "num_workers": num_workers, "random_state": 0}
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    clf = sn.TorchClassifier(module, on_bad_rows="skip", **settings)
    with pytest.warns(UserWarning, match="1 row is left out"):
        clf.fit(ds)
    other = sn.TorchClassifier(module, **settings).fit(ds[rows])
    assert all(map(torch.equal, clf.module_.parameters(), other.module_.parameters()))
    assert clf.pipeline_report_.skipped == (str(path),)
    here.found = "1 row is left out and listed; the weights are equal, bit for bit"
