from io import BytesIO

import numpy as np
import pytest

from sklearnish.data._errors import BadRowsError
from sklearnish.data._same_size import SameSize

Image = pytest.importorskip("PIL.Image")


def png(height, width, value=7):
    """Encode an image of one colour."""
    file = BytesIO()
    Image.new("RGB", (width, height), (value, 0, 255)).save(file, "PNG")
    return file.getvalue()


def test_the_size_is_that_of_the_first_image_that_can_be_decoded():
    images = SameSize.of([b"", b"no image", png(4, 6), png(5, 5)], "image {}".format, "Resize.")
    assert (images.shape, images.first) == ((3, 4, 6), 2)
    with pytest.raises(ValueError, match="image 0 cannot be decoded"):
        SameSize.of([b"", b"no image"], "image {}".format, "Resize.")


def test_images_are_decoded_channels_first():
    images = SameSize.of([png(2, 3)], str, "")
    decoded = images.decode(np.array([8, 9]), [png(2, 3, 1), png(2, 3, 2)], str)
    assert decoded.shape == (2, 3, 2, 3)
    assert decoded[:, 0].tolist() == [[[1] * 3] * 2, [[2] * 3] * 2]
    assert (decoded[:, 2] == 255).all()


def test_rows_that_cannot_be_decoded_are_told_from_the_others():
    images = SameSize.of([png(2, 3)], "image {}".format, "Resize them.")
    with pytest.raises(BadRowsError, match=r"image 5 has 3 x 2 .*image 0 2 x 3. Resize") as error:
        images.decode(np.array([4, 5, 6]), [png(2, 3), png(3, 2), b""], "image {}".format)
    assert error.value.rows.tolist() == [5, 6]


def test_images_are_resized():
    images = SameSize.of([png(9, 9)], str, "", resize=(2, 3))
    assert images.decode(np.arange(2), [png(9, 9), png(5, 7)], str).shape == (2, 3, 2, 3)
