"""The parameters of the estimators of tables, and their defaults of those that all share."""

from typing import Any

from sklearn.utils._param_validation import StrOptions

from sklearnish.estimators._constructor import (
    AUTO,
    POSITIVE_INT,
    again,
    parameter,
    parameterized,
)
from sklearnish.estimators._parameters import (
    DescentParameters,
    NetworkParameters,
    ValidationParameters,
)

QUALITY: dict[str, dict[str, int]] = {
    "fast": {"n_members": 4, "width": 64, "depth": 2, "max_steps": 800},
    "default": {"n_members": 8, "width": 64, "depth": 3, "max_steps": 2400},
    "best": {"n_members": 16, "width": 64, "depth": 3, "max_steps": 6000},
}
"""What `quality` stands for, where a parameter is None."""


def _sized(doc: str) -> Any:
    """Declare a parameter that `quality` sets if it is None."""
    return parameter(
        default=None,
        kind="int or None",
        allowed=[POSITIVE_INT, None],
        doc=f"{doc} None is as `quality` says.",
    )


@parameterized
class TableParameters:
    """How columns become numbers, and how large the network is."""

    module: Any = again(
        NetworkParameters,
        "module",
        doc="""A network to train in the place of the default one, as in `TorchClassifier`; columns
        are encoded all the same. A class whose signature names `numbers`, `indicators` and
        `categories`, as that of ``sklearnish.modules.TableModule`` does, is told which columns are
        which, and gets categories as codes. Others get one column of zeros and ones per level.""",
    )
    kinds: dict[str, str] | None = parameter(
        default=None,
        kind="dict",
        allowed=[dict, None],
        doc="""What columns are, by name, where that should not be left to their values, such as
        ``{"zip": "category"}``; see `preprocessing.TableEncoder`.""",
    )
    quality: str = parameter(
        default="default",
        kind='{"fast", "default", "best"}',
        allowed=[StrOptions(set(QUALITY))],
        doc="""Sets the following four together: "fast" is 4 members of 2 layers and 800 steps;
        "default" 8 members of 3 layers and 2,400 steps; "best" 16 members of 3 layers and 6,000
        steps; all are 64 wide.""",
    )
    n_members: int | None = _sized("Number of networks, which share most of their weights.")
    width: int | None = _sized("Width of their hidden layers.")
    depth: int | None = _sized("Number of their hidden layers.")
    max_steps: int | None = _sized(
        'Steps of the optimizer, from which `max_epochs` follows if it is "auto".'
    )
    embedding: str = parameter(
        default="auto",
        kind='{"auto", "periodic", "none"}',
        allowed=[StrOptions({"auto", "periodic", "none"})],
        doc="""Whether numbers enter as waves of several frequencies, besides as they are. "auto" is
        "periodic" for 2,000 training rows and more: fewer would be learned by heart.""",
    )
    optimizer: Any = again(DescentParameters, "optimizer", default="muon")
    lr: float = again(DescentParameters, "lr", default=0.02)
    lr_schedule: Any = again(DescentParameters, "lr_schedule", default="warmup-stable-decay")
    clip_grad_norm: float | None = again(DescentParameters, "clip_grad_norm", default=1.0)
    average_weights: float | None = again(DescentParameters, "average_weights", default=0.99)
    max_epochs: int | str = again(
        DescentParameters,
        "max_epochs",
        doc='Passes over the rows. "auto" are as many as `max_steps` take, from 1 to 50.',
    )
    batch_size: int | str = again(
        DescentParameters,
        "batch_size",
        doc="""Rows per step. "auto" is 32 below 1,000 rows, 64 below 8,000, then 256; fewer, but
        at least 64, where `max_epochs` is a number too small for 600 steps.""",
    )
    early_stopping: bool = again(ValidationParameters, "early_stopping", default=True)
    patience: int | str = again(
        ValidationParameters,
        "patience",
        default="auto",
        kind='int or "auto"',
        allowed=[AUTO, POSITIVE_INT],
        doc='Epochs without improvement after which to stop; "auto" is a third of `max_epochs`.',
    )
    tol: float = again(ValidationParameters, "tol", default=0.0)
