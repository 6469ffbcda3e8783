"""Images beside each other in one pair of axes, each with its label."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sklearnish.estimators import look_like_channels_last
from sklearnish.plotting import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from matplotlib.text import Text

_CHANNELS = (1, 3, 4)
"""What can be drawn: images in grey, in colours, and with transparency."""

_GAP = 0.08
"""Room between images, as a share of their width."""


def pixels(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn rows into images as matplotlib takes them: (n, height, width) or with channels last.

    Numbers from 0 to 1, and those from 0 to 255 that go beyond 127, are shown as they are; others,
    such as standardised ones, are stretched from the least to the greatest of the batch.

    Raises
    ------
    ValueError
        If they are no images.
    """
    shape = rows.shape[1:]
    if len(shape) == 3 and not look_like_channels_last(shape):
        rows = np.moveaxis(rows, 1, 3)
    if len(shape) not in (2, 3) or (len(shape) == 3 and rows.shape[3] not in _CHANNELS):
        raise ValueError(
            f"Rows of shape {tuple(shape)} are neither images, of shape (channels, height, width) "
            "with 1, 3 or 4 channels, nor rows of a table."
        )
    if rows.ndim == 4 and rows.shape[3] == 1:
        rows = rows[..., 0]
    return _from_0_to_1(rows)


def _from_0_to_1(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Scale values as :func:`pixels` says; bytes are what they are."""
    if rows.dtype == np.uint8:
        return rows
    rows = rows.astype(np.float64)
    low, high = np.nanmin(rows), np.nanmax(rows)
    if low >= 0 and high <= 1:
        return rows
    if low >= 0 and 127 < high <= 255:
        return rows / 255
    return np.asarray((rows - low) / (high - low or 1))


def draw(
    ax: "Axes", images: npt.NDArray[Any], labels: Sequence[str] | None
) -> "tuple[list[AxesImage], list[Text]]":
    """Draw images, as :func:`pixels` gives them, in rows from the upper left."""
    tall = images.shape[1] / images.shape[2]
    across, unit = _columns(len(images), tall, *_axes.size_of(ax))
    down = math.ceil(len(images) / across)
    size, most = _font(labels, unit)
    step = tall + (_axes.text_height(1, size) / unit if labels else _GAP)
    drawn, texts = [], []
    style: _axes.Style = {"ha": "center", "va": "top", "fontsize": size, "parse_math": False}
    for i, image in enumerate(images):
        left, top = (i % across) * (1 + _GAP), (i // across) * step
        drawn.append(
            ax.imshow(image, cmap="gray", vmin=0, vmax=_white(image), extent=_box(left, top, tall))
        )
        if labels:
            texts.append(ax.text(left + 0.5, top + tall, _axes.cut(labels[i], most), **style))
    ax.set(xlim=(0, across * (1 + _GAP) - _GAP), ylim=(down * step, 0), aspect="equal")
    return drawn, texts


def _columns(n: int, tall: float, width: float, height: float) -> tuple[int, float]:
    """Return how many images beside each other are largest, and how wide each is in inches."""
    units = [
        min(width / (across * (1 + _GAP)), height / (math.ceil(n / across) * (tall + 2 * _GAP)))
        for across in range(1, n + 1)
    ]
    return 1 + int(np.argmax(np.round(units, 3))), max(units)


def _white(image: npt.NDArray[Any]) -> float:
    """Return the number that is white."""
    return 255.0 if image.dtype == np.uint8 else 1.0


def _box(left: float, top: float, tall: float) -> tuple[float, float, float, float]:
    """Return where an image is drawn: left, right, bottom, top."""
    return left, left + 1, top + tall, top


def _font(labels: Sequence[str] | None, unit: float) -> tuple[float, int]:
    """Return the size of labels that fit under images, and how many characters they may have."""
    longest, room = max(map(len, labels or ["."])), unit * (1 + _GAP)
    size = _axes.font_size(_axes.text_width(max(longest, 1), 1), room)
    return size, max(2, int(room / _axes.text_width(1, size)))
