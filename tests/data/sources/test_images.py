import gzip
import io
import multiprocessing
import os
import pickle
import sys
import tarfile
import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageOps

from sklearnish.data import _decode
from sklearnish.data._decode import decode
from sklearnish.data._files import DatasetChangedError
from sklearnish.data._sources.images import images_from_paths, images_in_folder, images_in_tar


def smooth(height=48, width=64, seed=0):
    """A picture that survives JPEG."""
    small = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def encoded(pixels, form="JPEG", mode=None, **keywords):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image = image.convert(mode) if mode else image
    settings = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "PNG": {}}[form]
    image.save(file, form, **{**settings, **keywords})
    return file.getvalue()


@pytest.fixture(params=["simplejpeg", "pillow"])
def decoder(request, monkeypatch):
    """Both ways of decoding a JPEG."""
    _decode._simplejpeg.cache_clear()
    if request.param == "pillow":
        monkeypatch.setitem(sys.modules, "simplejpeg", None)  # as if not installed
    yield request.param
    _decode._simplejpeg.cache_clear()


@pytest.fixture
def folder(tmp_path):
    """Three classes of 2 pictures in three formats."""
    for i, name in enumerate(["cat", "dog", "ant"]):
        (tmp_path / "root" / name / "deep").mkdir(parents=True)
        root = tmp_path / "root" / name
        form = ["JPEG", "PNG", "WEBP"][i]
        (root / f"1.{form.lower()}").write_bytes(encoded(smooth(seed=i), form))
        (root / "deep" / f"0.{form.lower()}").write_bytes(encoded(smooth(seed=9), form))
        (root / "notes.txt").write_text("no picture")
        (root / ".hidden.jpg").write_text("no picture")
    return tmp_path / "root"


def pack(path, folder, mode="w"):
    with tarfile.open(path, mode) as tar:
        tar.add(folder, arcname="root")
    return path


ROWS = np.arange(6)


def test_a_folder_of_class_folders(folder):
    source = images_in_folder(folder)
    assert (source.n_rows, source.blocks, source.in_memory) == (6, None, False)
    assert source.schema["X"].shape == (3, 48, 64)
    assert source.schema["y"].kind == "text"
    assert source.labels("y").tolist() == ["ant", "ant", "cat", "cat", "dog", "dog"]
    assert source.labels("X") is None
    read = source.read(np.array([5, 0, 5]), ["y", "X"])
    assert read["y"].tolist() == ["dog", "ant", "dog"]
    assert read["X"].shape == (3, 3, 48, 64)
    assert read["X"].dtype == np.uint8
    assert read["X"].flags.c_contiguous
    np.testing.assert_array_equal(read["X"][0].transpose(1, 2, 0), smooth(seed=9))
    np.testing.assert_array_equal(read["X"][1].transpose(1, 2, 0), smooth(seed=2))
    assert source.row_name(0) == str(folder / "ant" / "1.webp")


def test_labels_are_known_without_the_pictures(folder):
    source = images_in_folder(folder, size=8)
    for path in folder.rglob("*.*"):
        path.unlink()
    assert source.labels("y")[0] == "ant"
    assert source.read(ROWS[:2], ["y"])["y"].tolist() == ["ant", "ant"]


def test_a_tar_is_read_as_the_folder_is(folder, tmp_path):
    tar = images_in_tar(pack(tmp_path / "a.tar", folder), size=(10, 12))
    files = images_in_folder(folder, size=(10, 12))
    names = [tar.row_name(i).split(" in ")[0].removeprefix("root/") for i in range(6)]
    order = [names.index(str(os.path.relpath(files.row_name(i), folder))) for i in range(6)]
    np.testing.assert_array_equal(
        tar.read(np.array(order), ["X"])["X"], files.read(ROWS, ["X"])["X"]
    )
    # The folder around the picture is the class, as nothing says which level would be.
    assert sorted(tar.labels("y")) == ["ant", "cat", "deep", "deep", "deep", "dog"]


def test_a_list_of_paths_with_and_without_labels(folder):
    paths = [folder / "dog" / "1.png", str(folder / "cat" / "1.jpeg")]
    source = images_from_paths(paths, [0.5, -1], size=4)
    np.testing.assert_array_equal(source.labels("y"), [0.5, -1])
    assert source.schema["y"].dtype == "float64"
    assert source.read(np.array([1]), ["y"])["y"].tolist() == [-1]
    assert images_from_paths(paths, np.array(["a", "b"], dtype=object), 4).labels("y")[1] == "b"
    unlabelled = images_from_paths(paths, size=4)
    assert list(unlabelled.schema) == ["X"]
    assert unlabelled.labels("y") is None


@pytest.mark.parametrize("make", ["folder", "tar"])
def test_pickles_read_here_and_in_another_process(folder, tmp_path, make):
    if make == "folder":
        source = images_in_folder(folder, size=8)
    else:
        source = images_in_tar(pack(tmp_path / "a.tar", folder), size=8)
    before = source.read(ROWS, ["X"])["X"]
    data = pickle.dumps(source)
    assert len(data) < 2500
    np.testing.assert_array_equal(pickle.loads(data).read(ROWS, ["X"])["X"], before)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(source.read, (ROWS, ["X"]))["X"], before)


def test_pickling_decodes_nothing(folder):
    source = images_in_folder(folder, size=8)
    for path in folder.rglob("*.*"):
        path.unlink()
    assert pickle.loads(pickle.dumps(source)).n_rows == 6


def test_many_pictures_are_kept_in_a_few_megabytes(folder):
    paths = [folder / "cat" / "1.jpeg"] * 10_000
    labels = np.where(np.arange(10_000) % 2, "odd", "even")
    name = len(str(paths[0]))
    tracemalloc.start()
    source = images_from_paths(paths, labels, size=8)
    kept = tracemalloc.get_traced_memory()[0] / 10_000
    tracemalloc.stop()
    assert kept < name + 40
    assert len(pickle.dumps(source)) < (name + 40) * 10_000


# Decoding


def test_jpeg_is_close_to_what_was_saved(decoder):
    pixels = smooth(375, 500)
    read = decode(encoded(pixels))
    assert read.shape == (375, 500, 3)
    assert np.abs(read.astype(int) - pixels).mean() < 1.5


@pytest.mark.parametrize("size", [(64, 64), (100, 30), (500, 700)])
def test_reducing_while_decoding_keeps_the_quality(decoder, size):
    pixels = smooth(750, 1000)
    fine = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR))
    read = decode(encoded(pixels), size)
    assert read.shape == (*size, 3)
    assert np.abs(read.astype(int) - fine).mean() < 1.5
    assert np.abs(read.astype(int) - fine).max() < 12


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "L"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("PNG", "LA"),
        ("PNG", "1"),
        ("WEBP", "RGBA"),
    ],
)
def test_every_mode_becomes_rgb(decoder, form, mode):
    pixels = smooth()
    wanted = np.asarray(Image.fromarray(pixels).convert(mode).convert("RGB")).astype(int)
    read = decode(encoded(pixels, form, mode))
    assert read.shape == (48, 64, 3)
    assert np.abs(read - wanted).mean() < 3


def test_a_palette_with_transparent_colours():
    image = Image.fromarray(smooth()).convert("P")
    wanted = np.asarray(image.convert("RGB"))
    data = encoded(image, "PNG", transparency=bytes(range(256)))
    np.testing.assert_array_equal(decode(data), wanted)


def test_sixteen_bits_are_scaled_not_cut():
    grey = np.linspace(0, 65535, 48 * 64).astype(np.uint16).reshape(48, 64)
    read = decode(encoded(Image.fromarray(grey), "PNG"))
    np.testing.assert_array_equal(read[:, :, 1], grey >> 8)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied(decoder, form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(smooth(), form, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
        wanted = np.asarray(upright)
        small = np.asarray(upright.resize((24, 20), Image.Resampling.BILINEAR))
    read = decode(data)
    assert read.shape == wanted.shape
    assert np.abs(read.astype(int) - wanted).mean() < 2
    assert np.abs(decode(data, (20, 24)).astype(int) - small).mean() < 2


def test_the_orientation_is_found_behind_other_notes(decoder):
    """Segments of 64 KiB before it, as a large colour profile is stored in."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(smooth(), exif=exif)
    segment = b"\xff\xe2\xff\xff" + bytes(0xFFFF - 2)
    assert decode(data[:2] + 3 * segment + data[2:]).shape == decode(data).shape == (64, 48, 3)


@pytest.mark.parametrize("n_bytes", [2, 3, 4, 5, 30])
def test_a_jpeg_cut_within_its_notes_is_refused(decoder, n_bytes):
    with pytest.raises(ValueError, match=r"."):
        decode(encoded(smooth())[:n_bytes])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [None, (8, 8)])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.3, 0.6, 0.9, 0.97])
def test_a_truncated_file_is_named(decoder, tmp_path, form, size, kept):
    data = encoded(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8), form)
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    good.write_bytes(data)
    bad.write_bytes(data[: int(len(data) * kept)])
    source = images_from_paths([good, bad], size=size)
    source.read(np.array([0]), ["X"])
    with pytest.raises(ValueError, match=r"bad\.jpg cannot be decoded: .+ Repair or remove"):
        source.read(np.array([0, 1]), ["X"])


def test_damaged_pixels_of_a_jpeg_are_an_error():
    pytest.importorskip("simplejpeg")
    data = bytearray(encoded(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)))
    data[len(data) // 2 : len(data) // 2 + 200] = b"\xff\xd9" * 100
    with pytest.raises(ValueError, match="JPEG"):
        decode(bytes(data))


@pytest.mark.parametrize("data", [b"", b"GIF89a" + b"\0" * 50, b"\xff\xd8\xff" + b"\0" * 99])
def test_what_is_no_picture_is_refused(decoder, data):
    with pytest.raises(ValueError, match="JPEG, PNG or WEBP"):
        decode(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_bomb_is_refused_before_it_is_decoded(decoder, form):
    data = encoded(Image.new("L", (10_000, 9_000)), form)
    with pytest.raises(ValueError, match=r"9000 x 10000 pixels|89478485"):
        decode(data)


def test_a_bomb_far_above_the_limit_is_a_value_error():
    with pytest.raises(ValueError, match="exceeds limit"):
        decode(encoded(Image.new("1", (20_000, 20_000)), "PNG"))


# Refusals


def test_ragged_images_name_file_and_sizes(folder):
    (folder / "cat" / "2.png").write_bytes(encoded(smooth(20, 30), "PNG"))
    source = images_in_folder(folder)
    with pytest.raises(ValueError, match=r"2\.png has 20 x 30 .* 48 x 64.*size=") as caught:
        source.read(np.arange(7), ["X"])
    assert str(folder / "ant" / "1.webp") in str(caught.value)
    assert images_in_folder(folder, size=9).read(np.arange(7), ["X"])["X"].shape == (7, 3, 9, 9)


@pytest.mark.parametrize("size", [0, -1, 2.5, (3,), (3, 0), (3, 4, 5), "12", (2.0, 3)])
def test_sizes_that_are_none(folder, size):
    with pytest.raises(ValueError, match="size must be"):
        images_in_folder(folder, size=size)


def test_folders_that_cannot_be_classes(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="not a folder"):
        images_in_folder(tmp_path / "missing")
    with pytest.raises(ValueError, match="no class folders"):
        images_in_folder(folder / "cat" / "deep")
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no JPEG"):
        images_in_folder(folder)


def test_other_formats_are_not_left_out_silently(folder):
    (folder / "cat" / "x.GIF").write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match=r"x\.GIF in cat is not JPEG"):
        images_in_folder(folder)


def test_lists_that_cannot_be_read(folder):
    path = folder / "cat" / "1.jpeg"
    with pytest.raises(FileNotFoundError, match=r"directory: '/.*missing\.jpg'$"):
        images_from_paths([path, folder / "missing.jpg"])
    with pytest.raises(FileNotFoundError, match="empty"):
        images_from_paths([])
    with pytest.raises(TypeError, match="list of paths"):
        images_from_paths(str(path))
    with pytest.raises(ValueError, match=r"1 images .* labels of shape \(2,\)"):
        images_from_paths([path], ["a", "b"])
    with pytest.raises(ValueError, match="without gaps"):
        images_from_paths([path], [None])


@pytest.mark.parametrize(
    ("mode", "command"), [("w:gz", "gunzip"), ("w:xz", "unxz"), ("w:bz2", "bunzip2")]
)
def test_a_compressed_tar_names_the_way_out(folder, tmp_path, mode, command):
    with pytest.raises(ValueError, match=f"Decompress it once: {command} a.tar.x"):
        images_in_tar(pack(tmp_path / "a.tar.x", folder, mode))


def test_a_truncated_tar(folder, tmp_path):
    path = pack(tmp_path / "a.tar", folder)
    with tarfile.open(path) as tar:
        last = [m for m in tar.getmembers() if m.isfile()][-1]
    whole = path.read_bytes()
    for cut in (last.offset_data + 1, last.offset_data - 100, 100):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"a\.tar (is truncated|holds no)"):
            images_in_tar(path)


def test_a_tar_of_something_else(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"no tar" * 1000)
    with pytest.raises(ValueError, match="not a tar"):
        images_in_tar(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        images_in_tar(path)
    with tarfile.open(path, "w"):
        pass
    with pytest.raises(ValueError, match="holds no JPEG"):
        images_in_tar(path)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("../x/a.png", tarfile.REGTYPE, "leads out"),
        ("/etc/a.png", tarfile.REGTYPE, "leads out"),
        ("x/a.png", tarfile.SYMTYPE, "link"),
        ("x/a.png", tarfile.LNKTYPE, "link"),
        ("a.png", tarfile.REGTYPE, "lies in no folder"),
    ],
)
def test_members_that_are_refused(tmp_path, name, kind, message):
    data = encoded(smooth(), "PNG")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        member.size = len(data) if kind == tarfile.REGTYPE else 0
        tar.addfile(member, io.BytesIO(data))
    with pytest.raises(ValueError, match=message):
        images_in_tar(tmp_path / "a.tar")


def test_too_many_members(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_MAX_MEMBERS", "5")
    with pytest.raises(ValueError, match="more than 5"):
        images_in_tar(pack(tmp_path / "a.tar", folder))


def test_a_damaged_member_is_named(tmp_path):
    data = encoded(smooth())
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, content in [("x/a.jpg", data), ("x/b.jpg", data[:300])]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    source = images_in_tar(tmp_path / "a.tar")
    with pytest.raises(ValueError, match=r"x/b\.jpg in .*a\.tar cannot be decoded"):
        source.read(np.array([0, 1]), ["X"])


@pytest.mark.parametrize("make", ["folder", "tar"])
def test_files_that_change_are_noticed(folder, tmp_path, make):
    if make == "folder":
        source, changed = images_in_folder(folder, size=8), folder / "cat" / "1.jpeg"
    else:
        changed = pack(tmp_path / "a.tar", folder)
        source = images_in_tar(changed, size=8)
    source.check_unchanged()
    changed.write_bytes(changed.read_bytes() + gzip.compress(b"more"))
    with pytest.raises(DatasetChangedError):
        source.check_unchanged()
    with pytest.raises(DatasetChangedError):
        source.read(ROWS, ["X"])


@pytest.mark.parametrize("damage", ["header", "end"])
def test_a_damaged_tar_does_not_lose_its_tail_silently(folder, tmp_path, damage):
    path = pack(tmp_path / "a.tar", folder)
    with tarfile.open(path) as tar:
        member = tar.getmembers()[-1]
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[member.offset : member.offset + 100] = b"\xff" * 100
    else:
        del data[member.offset :]
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.tar is truncated or damaged at byte"):
        images_in_tar(path, size=8)
