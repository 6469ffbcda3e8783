"""Which code a file may name: a fixed list, and what the user trusts."""

import pkgutil
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from sklearnish import estimators
from sklearnish.persistence._archive import objects_in

_LAYERS = """
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d
    AlphaDropout AvgPool1d AvgPool2d AvgPool3d BatchNorm1d BatchNorm2d BatchNorm3d Bilinear CELU
    Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d Dropout Dropout1d Dropout2d ELU Embedding
    Flatten GELU GLU GroupNorm Hardsigmoid Hardswish Hardtanh Identity InstanceNorm1d
    InstanceNorm2d LayerNorm LeakyReLU Linear LogSigmoid LogSoftmax MaxPool1d MaxPool2d MaxPool3d
    Mish ModuleDict ModuleList PReLU PixelShuffle RMSNorm ReLU ReLU6 SELU Sequential SiLU Sigmoid
    Softmax Softmin Softplus Softsign Tanh Unflatten Upsample ZeroPad2d
"""
_LOSSES = """
    BCELoss BCEWithLogitsLoss CrossEntropyLoss GaussianNLLLoss HingeEmbeddingLoss HuberLoss
    KLDivLoss L1Loss MSELoss MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss
    PoissonNLLLoss SmoothL1Loss SoftMarginLoss
"""
_LOSS_FUNCTIONS = """
    binary_cross_entropy binary_cross_entropy_with_logits cross_entropy huber_loss kl_div l1_loss
    mse_loss nll_loss smooth_l1_loss soft_margin_loss
"""
_OPTIMIZERS = "ASGD Adadelta Adagrad Adam AdamW Adamax NAdam RAdam RMSprop Rprop SGD"
_SCHEDULES = """
    ConstantLR CosineAnnealingLR CosineAnnealingWarmRestarts CyclicLR ExponentialLR LinearLR
    MultiStepLR OneCycleLR PolynomialLR ReduceLROnPlateau StepLR
"""


def _names(owner: Any, words: str) -> frozenset[str]:
    """Name the members of a module as a file does."""
    return frozenset(_spell(getattr(owner, word)) for word in words.split())


def _spell(value: Any) -> str:
    """Name a class or function: ``package.module:Class``."""
    return f"{value.__module__}:{value.__qualname__}"


ESTIMATORS = _names(estimators, " ".join(estimators.__all__))
_OF_TORCH = (
    _names(nn, _LOSSES)
    | _names(torch.optim, _OPTIMIZERS)
    | _names(torch.optim.lr_scheduler, _SCHEDULES)
)
TO_NAME = frozenset(name.replace(":", ".") for name in _OF_TORCH)
"""Classes that a search may name as users write it, though hold no instance of."""

INSTANCES = frozenset(
    {
        "sklearnish.data._report:EpochTimes",
        "sklearnish.data._report:PipelineReport",
        "sklearnish.data._transforms:PerBatch",
    }
)
"""Classes of ours whose instances are put together from their attributes."""

KNOWN = (
    ESTIMATORS
    | INSTANCES
    | _OF_TORCH
    | _names(nn, _LAYERS)
    | _names(F, _LOSS_FUNCTIONS)
    | {"inspect:_empty", "sklearnish.modules.mlp:MLP", "sklearnish.training._loss:FunctionLoss"}
)


class Trust:
    """Finds the code that a file names, if it is on the list or the user trusts it."""

    def __init__(self, trusted: Iterable[str]) -> None:
        if isinstance(trusted, str | bytes) or not isinstance(trusted, Iterable):
            raise TypeError(_not_names(trusted))
        names = list(trusted)
        if not all(isinstance(name, str) for name in names):
            raise TypeError(_not_names(names))
        self.names = frozenset(names)

    def allows(self, name: str) -> bool:
        """Say whether code may be imported."""
        return name in KNOWN or self.chosen(name)

    def chosen(self, name: str) -> bool:
        """Say whether the user named it."""
        return _dotted(name) in self.names

    def chose(self, value: Any) -> bool:
        """Say whether the user named this class or function."""
        return hasattr(value, "__qualname__") and self.chosen(_spell(value))

    def find(self, name: Any) -> Any:
        """Import what a name stands for."""
        if not isinstance(name, str) or not self.allows(name):
            raise ValueError(f"it names {name!r}, which is not trusted.")
        return pkgutil.resolve_name(name)

    def check(self, model: Any, others: Iterable[str] = ()) -> None:
        """Refuse a file that names other code, before any is imported; list all of it."""
        wanted = {_dotted(name) for name in _names_in(model) if not self.allows(name)}
        missing = sorted(wanted | set(others))
        if missing:
            raise ValueError(
                f"it needs code that is not trusted. If you trust the file and this code, which "
                f"is then run as the file wants it, pass trusted={missing!r}."
            )


def _not_names(trusted: Any) -> str:
    """Say what trusted takes; there is no way to trust whatever a file asks for."""
    return (
        f"trusted={trusted!r} must be a list of import paths, such as "
        'trusted=["my_module.Net"]; without it, the error lists what the file asks for.'
    )


def is_known(value: Any) -> bool:
    """Say whether a class or function is on the list."""
    return hasattr(value, "__qualname__") and _spell(value) in KNOWN


def name_of(value: Any, where: str) -> str:
    """Name a class or function for a file; refuse what another process could not import."""
    name = getattr(value, "__qualname__", None)
    module = getattr(value, "__module__", None)
    if module in ("__main__", "__mp_main__"):
        raise ValueError(
            f"{where} is {name}, which is defined in __main__, so no other program could import "
            "it to load the model. Move it to a file of its own and import it from there."
        )
    try:
        found = pkgutil.resolve_name(f"{module}:{name}")
    except (ValueError, ImportError, AttributeError):
        found = None
    if found is not value or found is None:
        raise ValueError(
            f"{where} is {value!r}, which cannot be imported by name, so it cannot be saved "
            "without pickle. Define it at the top level of a module: no lambda, no local class "
            "or function."
        )
    return f"{module}:{name}"


def _dotted(name: str) -> str:
    """Write a name as users do."""
    return name.replace(":", ".")


def _names_in(model: Any) -> Iterator[str]:
    """Yield the names of code anywhere in parsed JSON."""
    for node in objects_in(model):
        yield from (str(node[key]) for key in ("$code", "$class") if key in node)
