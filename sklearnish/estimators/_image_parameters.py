"""The parameters of estimators of images, and their defaults of those that all share."""

from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import Interval, StrOptions

from sklearnish.estimators._constructor import again, parameter, parameterized
from sklearnish.estimators._fitting.images import FLIPS
from sklearnish.estimators._parameters import DescentParameters, NetworkParameters


@parameterized
class ImageParameters:
    """What training changes in images, and the network for them."""

    module: Any = again(
        NetworkParameters,
        "module",
        doc="""A network to train in the place of the default one, a
        ``sklearnish.modules.ImageCNN``: a class or an instance, such as those of torchvision and
        timm, with as many outputs as there are classes. It is given images in float32 whose
        channels have mean 0 and deviation 1. Arguments of a class are as in
        `TorchClassifier`.""",
    )
    width: int | str = parameter(
        default="auto",
        doc="""Channels of the first group of the default network; the other two have four times as
        many. "auto" is 32 on a CPU and 64 on a GPU.""",
    )
    flip: str = parameter(
        default="alternating",
        kind='{"alternating", "random", "none"}',
        allowed=[StrOptions(set(FLIPS))],
        doc="""Which images are mirrored in training: each in every other epoch, half of them at
        random, or none. Choose "none" where a mirror image means something else, as with digits
        and letters.""",
    )
    crop: int = parameter(
        default=2,
        allowed=[Interval(Integral, 0, None, closed="left")],
        kind="int",
        doc="""Pixels by which images are moved at most in training, in both directions at random;
        reflections fill the rim. 0 moves none.""",
    )
    flip_average: bool = parameter(
        default=True,
        doc="""Whether predictions are the mean over an image and its mirror image, which takes
        twice the time; not with ``flip="none"``.""",
    )
    label_smoothing: float = parameter(
        default=0.1,
        kind="float",
        allowed=[Interval(Real, 0, 1, closed="left")],
        doc="""Share of the target that is spread over all classes, in the default criterion for
        one label per image; not with a `module` of a single output for two classes, whose
        criterion is another. `loss_` is the loss with it.""",
    )
    channels_last: bool = parameter(
        default=True,
        doc="""Whether the channels of a pixel lie side by side in memory, which makes convolutions
        faster.""",
    )
    optimizer: Any = again(DescentParameters, "optimizer", default="sgd")
    optimizer_params: dict[str, Any] | None = again(
        DescentParameters,
        "optimizer_params",
        doc="""Arguments for it, such as ``{"weight_decay": 1e-4}``; ``optimizer__<name>`` sets
        one. "sgd" has momentum 0.85 of Nesterov and weight decay 0.001, unless they are given.""",
    )
    lr: float = again(
        DescentParameters,
        "lr",
        default=0.2,
        doc="""Learning rate at its highest. Take less for other optimizers, such as 0.002 for
        "adam", and to tune a network.""",
    )
    lr_factors: dict[str, float] | None = again(
        DescentParameters,
        "lr_factors",
        doc="""By what the learning rate of parts of the network is multiplied, such as
        ``{"head": 10, "*.bias": 2}``. A name is that of a layer with all that is in it, of a
        weight, or a pattern; the first that fits counts. None is ``{"groups.*.bias": 64}`` for
        the default network with "sgd".""",
    )
    lr_schedule: Any = again(DescentParameters, "lr_schedule", default="triangular")
    max_epochs: int | str = again(
        DescentParameters,
        "max_epochs",
        doc="""Passes over the images. "auto" is 120,000 divided by their number, from 8 to 80.""",
    )
    batch_size: int | str = again(
        DescentParameters,
        "batch_size",
        doc="""Images per step; the last batch of an epoch may be smaller, or one larger. "auto" is
        32 below 2,000 images, else 128.""",
    )
