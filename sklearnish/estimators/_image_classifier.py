"""ImageClassifier: images of class folders, tars and arrays in, classes out."""

from typing import Any, ClassVar

from torch import nn

from sklearnish.data import Dataset, per_batch, resolve_device
from sklearnish.estimators._classifier import TorchClassifier
from sklearnish.estimators._constructor import parameterized
from sklearnish.estimators._fitting.images import (
    FlipAndCrop,
    check_crop,
    check_images,
    check_values,
    kind_of_values,
)
from sklearnish.estimators._fitting.inputs import to_dataset
from sklearnish.estimators._fitting.sizes import choose_image_sizes
from sklearnish.estimators._image_parameters import ImageParameters
from sklearnish.modules import ImageCNN, ImageModule


@parameterized
class ImageClassifier(ImageParameters, TorchClassifier):
    """Classifier for images: a small convolutional network that is trained in minutes.

    It is trained as Jordan's airbench is [1]_. X may be a Dataset of `scan_images` (class folders,
    tars), an array or tensor of shape (n_images, channels, height, width), or any torch Dataset of
    such images. Bytes stay bytes until they reach the module, which scales them. `n_features_in_`
    is the number of channels; images to predict may have another size than those of `fit`, but not
    another range: bytes after images scaled to about 1, or those after bytes, raise a `ValueError`.
    Everything else is as in `TorchClassifier`.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    width_ : int
        Channels of the first group of the default network.
    classes_ : ndarray of shape (n_classes,)
        Labels in ascending order, those of rows of weight 0 among them.
    multilabel_ : bool
        Whether targets are a 0/1 indicator of several labels.
    {attributes}

    References
    ----------
    .. [1] Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024,
       https://arxiv.org/abs/2404.00498

    Examples
    --------
    >>> import numpy as np
    >>> import sklearnish as sn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.integers(0, 100, (60, 3, 8, 8), dtype=np.uint8)
    >>> y = np.arange(60) % 2
    >>> X[y == 1, 0] += 100  # more red
    >>> clf = sn.ImageClassifier(width=4, max_epochs=8, batch_size=16, random_state=0).fit(X, y)
    >>> clf.predict(X[:4])
    array([0, 1, 0, 1])
    """

    _looks_at_rows: ClassVar[bool] = True

    def _rows(self, X: Any, *, reset: bool) -> Dataset:
        return check_images(self, to_dataset(self, X, reset=reset))

    def _prepared(
        self, data: Dataset, valid: Dataset | None, *, fresh: bool
    ) -> tuple[Dataset, Dataset | None]:
        if fresh:
            self._values = kind_of_values(data)
            on_cpu = resolve_device(self.device).type == "cpu"
            self.width_ = (32 if on_cpu else 64) if self.width == "auto" else int(self.width)
        for rows in (data, valid):
            if rows is not None:
                check_values(self, rows)
        return data, valid

    def _inputs(self, data: Dataset) -> Dataset:
        check_values(self, data)
        return data

    def _module_asked(self) -> tuple[Any, dict[str, Any] | None]:
        if self.module is not None:
            return self.module, self.module_params
        own = {"channels": self.n_features_in_, "width": self.width_}
        return ImageCNN, own | (self.module_params or {})

    def _around(self, module: nn.Module) -> nn.Module:
        made = ImageModule(module, self.n_features_in_)
        self._adjust(made)
        return made

    def _adjust(self, module: nn.Module) -> None:
        assert isinstance(module, ImageModule)
        module.flip_average = self.flip_average and self.flip != "none"
        module.channels_last = self.channels_last

    def _criterion_params(self, criterion: Any) -> dict[str, Any]:
        given = super()._criterion_params(criterion)
        smoothed = self.criterion is None and criterion is nn.CrossEntropyLoss
        return ({"label_smoothing": self.label_smoothing} if smoothed else {}) | given

    def _optimizer_params(self) -> dict[str, Any]:
        given = super()._optimizer_params()
        if self.optimizer != "sgd":
            return given
        momentum = given.get("momentum", 0.85)
        own = {"momentum": momentum, "nesterov": momentum > 0, "weight_decay": 1e-3}
        return own | given

    def _lr_factors(self) -> dict[str, float]:
        plain = self.lr_factors is None and "param_groups" not in (self.optimizer_params or {})
        if plain and self.module is None and self.optimizer == "sgd":
            return {"groups.*.bias": 64.0}
        return super()._lr_factors()

    def _augmentation(self, data: Dataset) -> Any:
        check_crop(self, data)
        if self.flip == "none" and not self.crop:
            return self.augment
        own = [per_batch(FlipAndCrop(self.flip, self.crop))]
        if self.augment is None:
            return own
        return [*own, *(self.augment if isinstance(self.augment, list | tuple) else [self.augment])]

    def _sizes(self, n_rows: int) -> tuple[int, int]:
        return choose_image_sizes(self.batch_size, self.max_epochs, n_rows)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.sparse = False
        return tags
