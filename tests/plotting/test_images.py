import numpy as np
import pytest
from matplotlib import pyplot as plt

from sklearnish.plotting import _images


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [
        ((2, 3, 5, 6), (2, 5, 6, 3)),
        ((2, 4, 5, 6), (2, 5, 6, 4)),
        ((2, 1, 5, 6), (2, 5, 6)),
        ((2, 5, 6, 3), (2, 5, 6, 3)),
        ((2, 4, 4, 3), (2, 4, 4, 3)),
        ((2, 5, 6, 1), (2, 5, 6)),
        ((2, 5, 6), (2, 5, 6)),
    ],
)
def test_channels_come_last(shape, drawn):
    assert _images.pixels(np.zeros(shape, dtype=np.uint8)).shape == drawn


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 6, 7), (2, 1, 3, 5, 6)])
def test_what_is_no_image(shape):
    with pytest.raises(ValueError, match="neither images"):
        _images.pixels(np.zeros(shape))


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.0, 0.5, 1.0], [0, 0.5, 1]),
        ([0.0, 51.0, 255.0], [0, 0.2, 1]),
        ([-2.0, 0.0, 2.0], [0, 0.5, 1]),
        ([7.0, 7.0, 300.0], [0, 0, 1]),
        ([0.0, 4.0, 16.0], [0, 0.25, 1]),
        ([-3.0, -3.0, -3.0], [0, 0, 0]),
    ],
)
def test_values_are_stretched_where_they_must_be(values, shown):
    images = np.array(values, dtype=np.float32).reshape(3, 1, 1)
    np.testing.assert_allclose(_images.pixels(images).ravel(), shown)


def test_bytes_stay_bytes():
    assert _images.pixels(np.full((1, 2, 2), 7, np.uint8)).dtype == np.uint8


@pytest.mark.parametrize(("size", "n"), [((3, 2.5), 16), ((6.4, 4.8), 1), ((9, 2), 7)])
def test_images_and_labels_do_not_overlap(n, size):
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    ax.set_axis_off()
    images = np.zeros((n, 8, 8, 3), np.uint8)
    labels = [f"a long $label$ of image {i}" if i % 2 else "cat" for i in range(n)]
    drawn, texts = _images.draw(ax, images, labels)
    figure.canvas.draw()
    boxes = [x.get_window_extent().shrunk(0.9, 0.9) for x in (*drawn, *texts)]
    assert len(boxes) == 2 * n
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    for image, text in zip(drawn, texts, strict=True):
        picture, label = image.get_window_extent(), text.get_window_extent()
        assert label.y1 <= picture.y0 + 2
        assert picture.x0 <= (label.x0 + label.x1) / 2 <= picture.x1


def test_without_labels():
    _, ax = plt.subplots()
    drawn, texts = _images.draw(ax, np.zeros((3, 4, 4)), None)
    assert len(drawn) == 3
    assert texts == []
