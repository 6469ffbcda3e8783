"""What a stranger's file can do: limits and refusals."""

import gzip
import io
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sklearnish as sn
from tests.faults import _data
from tests.faults._cells import Cell

REFUSED = "ValueError before it is read"

OPEN = [
    Cell(
        "a page that unpacks to 2 GB",
        "Parquet, text columns above all",
        "ValueError",
        "memory: footers do not say how large a page will be, and Arrow reads it in one go. Rows "
        "and values per byte are limited, repeated text is held once, and large row groups are "
        "read in pieces",
    ),
]


def refused(cell, action, message):
    with pytest.raises(ValueError, match=message) as caught:
        action()
    cell.found = f"{type(caught.value).__name__}: {message}"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_pixels(tmp_path, cell, monkeypatch, form):
    here = cell("an image of too many pixels", "images", REFUSED)
    monkeypatch.setenv("SKLEARNISH_MAX_PIXELS", "5000")
    _data.pictures(tmp_path, 3, form)
    (tmp_path / "cat" / f"big.{form.lower()}").write_bytes(_data.picture(3, form, side=80))
    ds = sn.scan_images(tmp_path, size=8)
    refused(here, lambda: list(ds.batches(16)), "big.*80 x 80 pixels.*SKLEARNISH_MAX_PIXELS")
    monkeypatch.setenv("SKLEARNISH_MAX_PIXELS", "6400")
    assert len(list(ds.batches(200))) == 1


def test_the_limit_of_pixels_is_that_of_pillow_until_it_is_raised(tmp_path, cell):
    here = cell("the limit raised", "images, a worker started anew", "the image is read")
    path = tmp_path / "big.png"
    Image.new("1", (9_500, 9_500)).save(path)

    read = sn.scan_images([path], size=8)
    with pytest.raises(ValueError, match=r"big\.png"):
        list(read.batches(1))
    raised = os.environ | {"SKLEARNISH_MAX_PIXELS": "91000000"}
    script = (
        "import sys, warnings; warnings.simplefilter('error'); import sklearnish as sn\n"
        "(X, y), = sn.scan_images([sys.argv[1]], size=8).batches(1); print(tuple(X.shape))"
    )
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, env=raised, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(1, 3, 8, 8)", done.stderr
    here.found = "read with SKLEARNISH_MAX_PIXELS set"


def test_members_of_a_tar(tmp_path, cell, monkeypatch):
    here = cell("more members than allowed", "images in a tar", REFUSED)
    _, path = _data.scan("images in a tar", tmp_path)
    monkeypatch.setenv("SKLEARNISH_MAX_MEMBERS", "50")
    refused(here, lambda: sn.scan_images(path), "more than 50 members.*SKLEARNISH_MAX_MEMBERS")


@pytest.mark.parametrize("keywords", [{}, {"comment": "#"}, {"skiprows": 1}, {"header": None}])
@pytest.mark.parametrize("where", ["header", "row"])
def test_lines_of_a_csv(tmp_path, cell, monkeypatch, keywords, where):
    here = cell(f"a {where} without end", "CSV", REFUSED)
    monkeypatch.setenv("SKLEARNISH_MAX_ROW_BYTES", "100000")
    path = tmp_path / "a.csv"
    path.write_text(("" if where == "header" else "a,b\n1,2\n3,4\n") + "5" * 3_000_000)
    refused(here, lambda: sn.scan_csv(path, **keywords), r"a\.csv.*100,?000")


@pytest.mark.parametrize("ending", ["gz", pytest.param("bz2", marks=pytest.mark.slow)])
def test_a_bomb_of_a_packed_csv(tmp_path, cell, monkeypatch, ending):
    import bz2

    here = cell("80 MB unpacked from 0.1 MB or less", f"CSV, {ending}", REFUSED)
    monkeypatch.setenv("SKLEARNISH_MAX_UNPACKED", "500")
    pack = {"gz": gzip.compress, "bz2": bz2.compress}[ending]
    line = b"0," * 4095 + b"0\n"
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(pack(line) + 10 * pack(line * 1000))
    refused(here, lambda: sn.scan_csv(path), r"a\.csv.*times its size.*SKLEARNISH_MAX_UNPACKED")


def test_rows_of_a_parquet_file(tmp_path, cell, monkeypatch):
    here = cell("more rows than its bytes can hold", "Parquet", REFUSED)
    _, path = _data.scan("Parquet", tmp_path)
    sn.scan_parquet(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": np.zeros(1_000_000, np.int8)}), path)
    monkeypatch.setenv("SKLEARNISH_MAX_ROWS_PER_BYTE", "10")
    refused(here, lambda: sn.scan_parquet(path), r"b\.parquet claims 1,000,000 rows")


@pytest.mark.parametrize("shape", [(10**15, 3), (10**15, 0), (-5, 3), (2**62, 2**62)])
def test_rows_of_an_npy_file(tmp_path, cell, shape):
    here = cell("a header that promises too much", "npy", REFUSED)
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"\0" * 1000)
    refused(here, lambda: sn.scan_npy(path), r"a\.npy")


class Exploit:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("as_target", [False, True])
@pytest.mark.filterwarnings("ignore:.*pickle")
def test_pickle_in_an_npy_file(tmp_path, cell, as_target):
    here = cell("Python objects", "npy", "ValueError, nothing is unpickled")
    marker = tmp_path / "marker"
    bad, good = tmp_path / "a.npy", tmp_path / "b.npy"
    np.save(bad, np.array([Exploit(marker)] * 2), allow_pickle=True)
    np.save(good, np.zeros((2, 3)))
    scan = (lambda: sn.scan_npy(good, target=bad)) if as_target else (lambda: sn.scan_npy(bad))
    refused(here, scan, "Python objects")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../cat/a.png", "/cat/a.png", "cat/../../a.png"])
def test_names_that_lead_out_of_a_tar(tmp_path, cell, name):
    here = cell("`..` and absolute names", "images in a tar", REFUSED)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(_data.picture(3))
        tar.addfile(member, io.BytesIO(_data.picture(3)))
    refused(here, lambda: sn.scan_images(tmp_path / "a.tar"), "leads out")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_in_a_tar(tmp_path, cell, kind):
    here = cell("links, pipes and devices", "images in a tar", REFUSED)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo("cat/a.png")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    refused(here, lambda: sn.scan_images(tmp_path / "a.tar"), "link or special")


def test_a_size_below_zero_in_a_tar(tmp_path, cell):
    here = cell("a negative size, to be walked in a circle", "images in a tar", REFUSED)
    data = _data.picture(3)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("cat/a.png", "cat/b.png"):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    raw = bytearray((tmp_path / "a.tar").read_bytes())
    header = raw[1024:1536] if len(data) <= 512 else None
    assert header is not None
    header[124:136] = (2**96 - 1024).to_bytes(12, "big")  # minus two blocks
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    raw[1024:1536] = header
    (tmp_path / "a.tar").write_bytes(raw)
    refused(here, lambda: sn.scan_images(tmp_path / "a.tar"), r"a\.tar")


@pytest.mark.parametrize("path", ["../secret.png", "/secret.png", "cat/../../secret.png", "link"])
def test_paths_of_a_list_that_lead_out_of_root(tmp_path, cell, path):
    here = cell("`..`, absolute paths and links out of `root`", "list of images", REFUSED)
    root = tmp_path / "root"
    _data.pictures(root, 3)
    (tmp_path / "secret.png").write_bytes(_data.picture(9))
    (root / "link").symlink_to(tmp_path / "secret.png")
    (root / "within").symlink_to(root / "cat" / "01.png")
    path = f"{tmp_path}{path}" if path.startswith("/") else path
    ds = sn.scan_images(["cat/00.png", "within"], root=root)
    assert ds.shape == (2, 3, 8, 8)
    refused(here, lambda: sn.scan_images(["cat/00.png", path], root=root), "leads out")


def test_a_pipe_among_pictures(tmp_path, cell):
    here = cell("a named pipe, which would be waited for", "images in folders", REFUSED)
    _data.pictures(tmp_path, 3)
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    refused(here, lambda: sn.scan_images(tmp_path), "pipe.png is not a file")


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM", "PDF", "JPEG2000", "ICO"])
def test_only_three_decoders(tmp_path, cell, form):
    here = cell("a picture of another format under the name of a PNG", "images", "ValueError")
    _data.pictures(tmp_path, 3)
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, form)
    (tmp_path / "cat" / "05.png").write_bytes(file.getvalue())
    ds = sn.scan_images(tmp_path)
    refused(here, lambda: list(ds.batches(16)), r"05\.png.*not a JPEG, PNG or WEBP")


@pytest.mark.parametrize("scan", ["scan_parquet", "scan_csv", "scan_npy", "scan_images"])
@pytest.mark.parametrize("listed", [False, True])
def test_no_url_is_opened(cell, scan, listed):
    here = cell("a URL instead of a path", scan, "an error, no connection")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.png"
        with pytest.raises((ValueError, OSError), match=r"a\.png"):
            getattr(sn, scan)([url] if listed else url)
        with pytest.raises(BlockingIOError):
            server.accept()
    here.found = "refused, nobody connected"


def test_a_limit_that_is_no_number(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_MAX_ROW_BYTES", "1GB")
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(ValueError, match="SKLEARNISH_MAX_ROW_BYTES must be a positive integer"):
        sn.scan_csv(tmp_path / "a.csv")
