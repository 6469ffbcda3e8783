"""From the bytes of a JPEG, PNG or WEBP file to an RGB array of the wanted size."""

import os
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sklearnish.data._files.limits import PIXELS, check_limit, limit

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]
"""Height and width."""

_FORMATS = ("JPEG", "PNG", "WEBP")
_ORIENTATION = 0x0112
_MARKS = (b"Exif\0\0", b"EXIF", b"eXIf", b"tiff:Orientation", b"Raw profile type exif")
"""What notes that may tell the orientation hold, in any of the formats."""


def decode(data: bytes, size: Size | None = None) -> Pixels:
    """Decode one image as it is meant to be seen.

    Grey, palette and CMYK images become RGB, 16 bits become 8, transparency is dropped and the
    EXIF orientation is applied. Large JPEGs are reduced while decoding, to no less than twice
    the wanted size, the rest by bilinear interpolation over all pixels; the aspect ratio is not
    kept.

    Parameters
    ----------
    data : bytes
        The content of the file.
    size : (int, int), default=None
        Height and width to resize to; None keeps them.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        The image.

    Raises
    ------
    ValueError
        The file is truncated, damaged, of another format or has too many pixels.
    ImportError
        Pillow is missing.
    """
    try:
        orientation = _orientation(data)
        turned = orientation >= 5
        stored = size[::-1] if size is not None and turned else size
        pixels = _decode_stored(data, stored)
    except (ImportError, MemoryError, ValueError):
        raise
    except Exception as error:  # on damaged files Pillow raises whatever its parsers ran into
        raise ValueError(str(error) or type(error).__name__) from error
    return _orient(pixels, orientation)


def require_pillow() -> None:
    """Raise ImportError, with the cure, where Pillow is missing."""
    _pillow()


def _decode_stored(data: bytes, size: Size | None) -> Pixels:
    """Decode and resize, in the orientation in which the pixels are stored."""
    pixels = _decode_fast(data, size) if data.startswith(b"\xff\xd8\xff") else None
    if pixels is None:
        pixels = _decode_pillow(data, size)
    if size is None or pixels.shape[:2] == size:
        return pixels
    image = _pillow()
    small = image.fromarray(pixels).resize(size[::-1], image.Resampling.BILINEAR)
    return np.asarray(small)


def _decode_fast(data: bytes, size: Size | None) -> Pixels | None:
    """Decode an everyday JPEG with simplejpeg, at twice the speed; None leaves it to Pillow."""
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:  # unusual subsampling, or not a JPEG: Pillow knows
        return None
    _check_pixels(height, width)
    if space not in ("YCbCr", "RGB", "Gray"):
        return None
    low, least = (0, 0) if size is None else (2 * size[0], 2 * size[1])
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=low, min_width=least)
    except ValueError as error:
        if "extraneous bytes" in str(error):  # stray padding, all pixels are there
            return None
        raise
    return pixels


def _decode_pillow(data: bytes, size: Size | None) -> Pixels:
    """Decode with Pillow."""
    image = _pillow()
    try:
        picture = image.open(BytesIO(data), formats=_FORMATS)
    except OSError as error:
        raise ValueError("it is not a JPEG, PNG or WEBP image, or its header is damaged") from error
    with picture:
        _check_pixels(picture.height, picture.width)
        if size is not None:
            picture.draft("RGB", (2 * size[1], 2 * size[0]))
        return np.asarray(_rgb(picture))


def _rgb(picture: Any) -> Any:
    """Convert a Pillow image to three channels of 8 bits."""
    if picture.mode.startswith("I"):  # 16 bits: convert() would cut at 255 instead of scaling
        grey = (np.asarray(picture).astype(np.int64) >> 8).clip(0, 255)
        picture = _pillow().fromarray(grey.astype(np.uint8))
    if "transparency" in picture.info and picture.mode == "P":
        picture = picture.convert("RGBA")  # Pillow warns of the direct way
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _check_pixels(height: int, width: int) -> None:
    """Raise for an image of too many pixels, before they are decoded."""
    check_limit(PIXELS, height * width, f"it has {height} x {width} pixels")


def _orientation(data: bytes) -> int:
    """Read how the camera was held: 1 upright to 8."""
    notes = _notes(data)
    if not any(mark in notes for mark in _MARKS):
        return 1
    image = _pillow()
    try:
        with image.open(BytesIO(data), formats=_FORMATS) as picture:
            value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged notes beside whole pixels; damaged pixels are found later
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _notes(data: bytes) -> bytes:
    """Leave out the pixels, which hold no notes and take long to search."""
    if data.startswith(b"\xff\xd8"):
        return _before_scan(data)
    if data.startswith(b"\x89PNG"):
        return b"".join(_chunks(data, 8, 4, "big", (b"IDAT", b"fdAT")))
    return b"".join(_chunks(data, 12, 0, "little", (b"VP8 ", b"VP8L", b"ALPH", b"ANMF")))


def _before_scan(data: bytes) -> bytes:
    """Take what precedes the pixels of a JPEG."""
    end = 2
    while data[end : end + 1] == b"\xff" and data[end + 1 : end + 2] != b"\xda":
        end += 2 + int.from_bytes(data[end + 2 : end + 4], "big")  # a segment's own length
    return data[:end]


def _chunks(
    data: bytes, start: int, check: int, order: Literal["big", "little"], pixels: tuple[bytes, ...]
) -> Iterator[bytes]:
    """Yield the chunks of a PNG or WEBP file that hold no pixels; notes may follow these."""
    while start < len(data):
        size, kind = data[start : start + 4], data[start + 4 : start + 8]
        if order == "little":
            size, kind = kind, size
        end = start + 8 + int.from_bytes(size, order)
        if kind not in pixels:
            yield data[start:end]
        start = end + (check or (end - start) % 2)  # PNG: a checksum; WEBP: an even length


def _orient(pixels: Pixels, orientation: int) -> Pixels:
    """Turn and mirror to upright."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


@cache
def _pillow() -> Any:
    """Import Pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            'reading images needs Pillow: pip install "sklearnish[images]"'
        ) from error
    if PIXELS in os.environ and Image.MAX_IMAGE_PIXELS is not None:  # Pillow has its own limit
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, limit(PIXELS))
    return Image


@cache
def _simplejpeg() -> Any:
    """Import simplejpeg; None where it is missing."""
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
