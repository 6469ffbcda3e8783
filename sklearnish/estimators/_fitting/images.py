"""Images: what is checked, what is learned of them before training, what training changes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearnish.data import Dataset, hashed_sample, read_finite
from sklearnish.modules import ImageStatistics, image_statistics

FLIPS = ("alternating", "random", "none")
"""Which images of an epoch are mirrored."""

_IMAGES, _NBYTES = 2_000, 2**25
"""Bounds of the sample from which scaling and whitening are computed."""

_CHANNELS = (1, 3, 4)
"""How many channels images usually have: an axis as long as that may be theirs."""

_LOOKED_AT, _SCALED = 8, 4.0
"""Images that tell in which range all are; scaled and standardised values do not go beyond."""

_MIXER = -7046029254386353131  # 2^64 divided by the golden ratio, as torch's integers have it
"""A product with it has middle bits that every bit of the factor changes."""


def check_images(estimator: Any, dataset: Dataset) -> Dataset:
    """Refuse rows that are no images of channels first."""
    shape, name = dataset.row_shape, type(estimator).__name__
    if len(shape) != 3:
        raise ValueError(
            f"{name} takes images: X of shape (n_images, channels, height, width), and got rows "
            f"of shape {shape}. {_cure(shape)}"
        )
    if look_like_channels_last(shape):
        raise ValueError(
            f"{name} takes images with channels first, (channels, height, width), and these rows "
            f"of shape {shape} look like (height, width, channels). Move the axes: "
            "X.transpose(0, 3, 1, 2) for an array, ds.map_batches(lambda X: X.permute(0, 3, 1, 2)) "
            "for a Dataset."
        )
    if min(shape[1:]) < 2:
        raise ValueError(
            f"Images of {shape[1]} x {shape[2]} pixels are too small: both sides must have at "
            "least 2 pixels."
        )
    return dataset


def look_like_channels_last(shape: tuple[int, ...]) -> bool:
    """Say whether the last axis is shorter than two equal sides, or usual for channels alone."""
    square = shape[0] == shape[1] > shape[2]
    return square or (shape[0] not in _CHANNELS and shape[2] in _CHANNELS)


def check_crop(estimator: Any, dataset: Dataset) -> None:
    """Refuse images that cannot be moved as far as training would move them."""
    _, height, width = dataset.row_shape
    if min(height, width) <= estimator.crop:
        raise ValueError(
            f"Images of {height} x {width} pixels are too small for crop={estimator.crop}: both "
            "sides must have more pixels than crop."
        )


def kind_of_values(dataset: Dataset) -> str:
    """Tell "whole" numbers, such as bytes, from those "scaled" to about 1; "" may be either."""
    if not dataset.transforms and dataset.dtypes.get("X") == "uint8":
        return "whole"  # nothing is read
    X = read_finite(dataset.without_target(), np.arange(min(len(dataset), _LOOKED_AT))).X
    assert isinstance(X, Tensor)
    X = X.double()
    large = bool(X.abs().max() > _SCALED)
    if torch.equal(X, X.round()):
        return "whole" if large else ""
    return "" if large else "scaled"


def check_values(estimator: Any, dataset: Dataset) -> None:
    """Refuse images in another range than those of fit, which a network takes for flat grey."""
    known = getattr(estimator, "_values", "")  # "" for an estimator saved before it was noted
    if not known or not len(dataset):
        return
    found = kind_of_values(dataset)
    if not found or found == known:
        return
    told = {"whole": "whole numbers, such as bytes from 0 to 255", "scaled": "scaled to about 1"}
    cure = (
        "X * 255 undoes ToTensor" if known == "whole" else "X / 255 scales bytes as ToTensor does"
    )
    raise ValueError(
        f"Values of these images are {told[found]}; those of the images in fit were {told[known]}. "
        f"Make them as those of fit ({cure}), or fit on images like these."
    )


def _cure(shape: tuple[int, ...]) -> str:
    """Say how rows become images."""
    if len(shape) == 2:
        return "Images without an axis of channels have one channel: X[:, None] adds the axis."
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        square = f"1, {side}, {side}" if side**2 == shape[0] else "channels, height, width"
        return (
            f"Where each row is an image, give it its shape back: X.reshape(-1, {square}). For "
            "tables there is TabularClassifier."
        )
    return "For rows of other shapes there is TorchClassifier."


def show_images(module: nn.Module, data: Dataset, seed: int, known: dict[str, Any]) -> None:
    """Give a module that asks for it what is learned of the training images before training."""
    setter = getattr(module, "set_image_statistics", None)
    if setter is None:
        return
    if "images" not in known:
        n = max(1, min(_IMAGES, _NBYTES // data.row_nbytes))
        X = read_finite(data, hashed_sample(data, n, seed)).X
        assert isinstance(X, Tensor)
        known["images"] = list(image_statistics(X))
    setter(ImageStatistics(*known["images"]))


@dataclass(frozen=True)
class FlipAndCrop:
    """Mirrors images of a batch, and moves them by a few pixels; reflections fill the rim.

    "alternating" mirrors an image in every other epoch, in which ones its bytes decide: half of
    the images begin mirrored [1]_.

    References
    ----------
    .. [1] Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024,
       https://arxiv.org/abs/2404.00498
    """

    flip: str
    crop: int

    def __call__(self, X: Tensor, rng: np.random.Generator, epoch: int) -> Tensor:
        """Return images of the same shape and type."""
        n, _, height, width = X.shape
        shifts = torch.from_numpy(rng.integers(-self.crop, self.crop, (2, n), endpoint=True))
        down, right = shifts.to(X.device, non_blocking=True)  # or each step would wait
        rows = _reflected(torch.arange(height, device=X.device) + down[:, None], height)
        columns = _reflected(torch.arange(width, device=X.device) + right[:, None], width)
        mirrored = self._mirrored(X, rng, epoch)[:, None]
        columns = torch.where(mirrored, width - 1 - columns, columns)
        images = torch.arange(n, device=X.device)[:, None, None]
        return X.permute(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)

    def _mirrored(self, X: Tensor, rng: np.random.Generator, epoch: int) -> Tensor:
        """Say which images are mirrored in an epoch."""
        if self.flip == "none":
            return torch.zeros(len(X), dtype=torch.bool, device=X.device)
        if self.flip == "random":
            chosen = torch.from_numpy(rng.random(len(X)) < 0.5)
            return chosen.to(X.device, non_blocking=True)
        sums = X.contiguous().view(torch.uint8).flatten(1).sum(1)  # the same for mirror images
        # Sums may all be even, as those of digits * 8: a bit is taken to which all of them count.
        return ((sums * _MIXER >> 32) + epoch) % 2 == 1


def _reflected(places: Tensor, n: int) -> Tensor:
    """Bring places up to n - 1 beyond either end back, as a mirror at the end does."""
    return n - 1 - (n - 1 - places.abs()).abs()
