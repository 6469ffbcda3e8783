"""Modules of images: a small convolutional network, and what stands before any network."""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PATCH = 2
"""Side of the patches that the first layer whitens."""

_PATCHES_PER_SIDE = 64
"""Of a larger image, so many patches along a side stand for all."""

_FLOOR = 5e-4
"""Added to variances of patches, so that directions of little but noise are not blown up."""

_ROUNDING = 1e-12
"""Variance, relative to the square of the mean, that rounding in float32 alone explains."""

_LOGITS = 1 / 9
"""Logits of fresh weights are multiplied by it, so that training begins with none too sure."""

_KEPT = 0.6
"""Share of the old in the running statistics of a normalisation."""


class ImageStatistics(NamedTuple):
    """What modules are told of the training images.

    Attributes
    ----------
    mean, scale : Tensor of shape (channels,)
        Mean and standard deviation of the values of each channel; 1 where they are constant.
    whitening : Tensor of shape (channels * 4, channels, 2, 2)
        What makes patches of scaled images uncorrelated, and all directions equally strong.
    """

    mean: Tensor
    scale: Tensor
    whitening: Tensor


class ImageModule(nn.Module):
    """Scales images, and gives them to a network: in eval mode with their mirror images.

    Whole numbers of a byte stay what they are until they are here, on the device. The scaling is
    part of the module (its buffers), so that it is saved and moved with the weights.

    Parameters
    ----------
    network : nn.Module
        Takes a tensor of shape (n, channels, height, width).
    channels : int
        Number of channels.
    flip_average : bool, default=True
        Whether outputs in eval mode are the mean of those of an image and of its mirror image.
    channels_last : bool, default=True
        Whether the channels of a pixel lie side by side in memory, which convolutions like.

    Examples
    --------
    >>> import torch
    >>> from sklearnish.modules import ImageCNN, ImageModule
    >>> images = torch.randint(256, (4, 3, 20, 24), dtype=torch.uint8)
    >>> ImageModule(ImageCNN(3, 10, width=8), 3)(images).shape
    torch.Size([4, 10])
    """

    casts_inputs = True
    """Images come as they were read."""

    wraps = "network"
    """What holds the weights, by whose names users call them."""

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        *,
        flip_average: bool = True,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        self.network = network
        self.flip_average = flip_average
        self.channels_last = channels_last
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("scale", torch.ones(channels, 1, 1))

    def set_image_statistics(self, statistics: ImageStatistics) -> None:
        """Take over what was found in the training images.

        Parameters
        ----------
        statistics : ImageStatistics
            As `image_statistics` returns them.
        """
        with torch.no_grad():
            self.mean.copy_(statistics.mean.reshape(self.mean.shape))
            self.scale.copy_(statistics.scale.reshape(self.scale.shape))
        if isinstance(self.network, ImageCNN):
            self.network.set_whitening(statistics.whitening)

    def forward(self, X: Tensor) -> Tensor:
        """Compute the outputs of a batch.

        Parameters
        ----------
        X : Tensor of shape (n, channels, height, width)
            Images.

        Returns
        -------
        Tensor of shape (n, out_features)
            What the network puts out, in eval mode the mean over two directions.
        """
        X = (X.to(self.mean.dtype) - self.mean) / self.scale
        if self.channels_last:
            X = X.contiguous(memory_format=torch.channels_last)
        outputs: Tensor = self.network(X)
        if self.flip_average and not self.training:
            outputs = (outputs + self.network(X.flip(3))) / 2
        return outputs


class ImageCNN(nn.Module):
    """Small convolutional network that learns images fast.

    It follows Jordan's airbench [1]_. Patches of 2 x 2 pixels are whitened by a layer that is
    computed from the training images, not learned. Three groups of two convolutions follow; each
    halves the sides of the image. The maximum over all places goes into a linear layer, so images
    of any size can be taken.

    Parameters
    ----------
    channels : int
        Number of channels of the images.
    out_features : int
        Number of outputs.
    width : int, default=32
        Channels of the first group; the other two have four times as many.

    References
    ----------
    .. [1] Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024,
       https://arxiv.org/abs/2404.00498

    Examples
    --------
    >>> import torch
    >>> from sklearnish.modules import ImageCNN
    >>> ImageCNN(1, 10, width=8)(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 10])
    """

    whitening: Tensor

    def __init__(self, channels: int, out_features: int, width: int = 32) -> None:
        super().__init__()
        n = channels * _PATCH**2
        self.register_buffer("whitening", torch.eye(n).reshape(n, channels, _PATCH, _PATCH))
        self.bias = nn.Parameter(torch.zeros(2 * n))
        widths = [2 * n, width, 4 * width, 4 * width]
        self.groups = nn.Sequential(*(_Group(*pair) for pair in pairwise(widths)))
        self.head = nn.Linear(widths[-1], out_features, bias=False)

    def set_whitening(self, whitening: Tensor) -> None:
        """Take over the filters of the first layer.

        Parameters
        ----------
        whitening : Tensor of shape (channels * 4, channels, 2, 2)
            As `image_statistics` returns them.
        """
        with torch.no_grad():
            self.whitening.copy_(whitening)

    def forward(self, X: Tensor) -> Tensor:
        """Compute logits of a batch.

        Parameters
        ----------
        X : Tensor of shape (n, channels, height, width)
            Images, scaled by channel; at least 2 pixels high and wide.

        Returns
        -------
        Tensor of shape (n, out_features)
            Logits.
        """
        filters = torch.cat([self.whitening, -self.whitening])
        X = F.gelu(F.conv2d(X, filters, self.bias))
        outputs: Tensor = self.head(self.groups(X).amax((2, 3)))
        return outputs * _LOGITS


class _Group(nn.Module):
    """Convolution, pooling, normalisation and GELU; then the same without pooling."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _convolution(n_in, n_out), _Normalisation(n_out)
        self.conv2, self.norm2 = _convolution(n_out, n_out), _Normalisation(n_out)

    def forward(self, X: Tensor) -> Tensor:
        """Halve the sides; one of a single pixel stays."""
        X = self.conv1(X)
        X = F.max_pool2d(X, [min(2, side) for side in X.shape[2:]])
        X = F.gelu(self.norm1(X))
        normed: Tensor = self.norm2(self.conv2(X))
        return F.gelu(normed)


class _Normalisation(nn.BatchNorm2d):
    """Batch normalisation that shifts, but does not scale."""

    def __init__(self, n: int) -> None:
        super().__init__(n, momentum=1 - _KEPT)
        self.weight.requires_grad_(False)


def _convolution(n_in: int, n_out: int) -> nn.Conv2d:
    """Make a convolution whose first filters pass their inputs on as they are."""
    made = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(made.weight[: min(n_in, n_out)])
    return made


def image_statistics(X: Tensor) -> ImageStatistics:
    """Find out what modules are to be told of images.

    Parameters
    ----------
    X : Tensor of shape (n, channels, height, width)
        Images.

    Returns
    -------
    ImageStatistics
        In float32.

    Examples
    --------
    >>> import torch
    >>> from sklearnish.modules import image_statistics
    >>> image_statistics(torch.randint(256, (4, 3, 20, 24), dtype=torch.uint8)).whitening.shape
    torch.Size([12, 3, 2, 2])
    """
    channels = X.shape[1]
    values = X.transpose(0, 1).flatten(1)
    mean = torch.stack([one.double().mean() for one in values])
    variance = torch.stack([one.double().var(correction=0) for one in values])
    changes = variance > _ROUNDING * mean.square()
    scale = torch.where(changes, variance.sqrt(), 1.0)
    n = channels * _PATCH**2
    covariance, count = torch.zeros(n, n, dtype=torch.float64), 0
    for start in range(0, len(X), 64):
        scaled = (X[start : start + 64].double() - mean.view(-1, 1, 1)) / scale.view(-1, 1, 1)
        patches = _patches(scaled)
        covariance += patches.T @ patches
        count += len(patches)
    variances, directions = torch.linalg.eigh(covariance / max(1, count))
    whitening = directions / (variances.clamp(min=0) + _FLOOR).sqrt()
    # A direction and its opposite are both right: let the largest entry be positive.
    signs = whitening.gather(0, whitening.abs().argmax(0, keepdim=True)).sign()
    filters = (whitening * signs).T.flip(0).reshape(n, channels, _PATCH, _PATCH)
    return ImageStatistics(mean.float(), scale.float(), filters.float())


def _patches(X: Tensor) -> Tensor:
    """Cut patches out of images, as rows; of large images, some."""
    for axis in (2, 3):
        X = X.unfold(axis, _PATCH, max(1, X.shape[axis] // _PATCHES_PER_SIDE))
    return X.movedim(1, 3).flatten(3).flatten(0, 2)
