import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from sklearnish.data import _decode as decoding
from sklearnish.data._decode import decode
from sklearnish.data._sources.images.source import images_from_paths
from tests.data.pictures import encoded, smooth


@pytest.fixture(params=["simplejpeg", "pillow"])
def decoder(request, monkeypatch):
    """Both ways of decoding a JPEG."""
    decoding._simplejpeg.cache_clear()
    if request.param == "pillow":
        monkeypatch.setitem(sys.modules, "simplejpeg", None)  # as if not installed
    yield request.param
    decoding._simplejpeg.cache_clear()


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


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_the_orientation_is_found_behind_many_pixels(form):
    """WEBP has its notes behind the pixels, and so may PNG."""
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(pixels, form, exif=exif)
    if form == "PNG":
        start = data.index(b"eXIf") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        data = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    assert len(data) > 2**17
    np.testing.assert_array_equal(decode(data), np.rot90(pixels, -1))


@pytest.mark.parametrize("mark", [b"eXIf", b"Exif\0\0", b"EXIF"])
def test_pixels_are_not_searched_for_notes(mark):
    pixels = [len(mark).to_bytes(4, "big") + b"IDAT" + mark + b"sum.", b"VP8L" + b"\4\0\0\0abcd"]
    note = [b"\0\0\0\4eXIfhere" + b"sum.", b"EXIF" + b"\3\0\0\0odd\0"]
    png, webp = b"\x89PNG\r\n\x1a\n", b"RIFF    WEBP"
    assert decoding._notes(png + pixels[0] + note[0] + pixels[0]) == note[0][:-4]
    assert decoding._notes(webp + pixels[1] + note[1] + pixels[1]) == note[1][:-1]


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
@pytest.mark.parametrize("size", [b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_chunks_of_a_wrong_size_are_walked_to_the_end(form, size):
    data = encoded(smooth(), form)
    start, kind = (8, size + b"IHDR") if form == "PNG" else (12, b"VP8X" + size)
    decoding._notes(data[:start] + 1000 * kind)


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


def claiming(width, height):
    """Make a PNG of one pixel whose header says more."""
    data = bytearray(encoded(Image.new("L", (1, 1)), "PNG"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_bomb_is_refused_before_it_is_decoded(decoder, form):
    size = (10_000, 9_000)
    data = claiming(*size) if form == "PNG" else encoded(Image.new("L", size), form)
    with pytest.raises(ValueError, match=r"9000 x 10000 pixels|89478485"):
        decode(data)


def test_a_bomb_far_above_the_limit_is_a_value_error():
    with pytest.raises(ValueError, match="exceeds limit"):
        decode(claiming(20_000, 20_000))
