"""Which code a file may name, a fixed list and what the user trusts, and how it names it.

Ours is named by the package alone, so that our files may move: ``sklearnish:PerBatch`` is PerBatch,
wherever it is defined; ``module:Class`` is what others define.
"""

import pkgutil
from collections.abc import Iterable, Iterator
from functools import partial
from inspect import isabstract
from typing import Any, get_args

import torch
import torch.nn.functional as F
from torch import nn

from sklearnish import estimators
from sklearnish.data import EpochTimes, PerBatch, PipelineReport
from sklearnish.modules import (
    MLP,
    Autoencoder,
    BinaryLogLoss,
    EnsembleLinear,
    HalfPoissonDeviance,
    HalfSquaredError,
    ImageCNN,
    ImageModule,
    LogLoss,
    PlainMLP,
    QuantileLoss,
    TableModule,
)
from sklearnish.persistence._archive import objects_in
from sklearnish.persistence._stand_ins import Distribution, Part, Partial
from sklearnish.preprocessing import Column, Streamed, TableEncoder, TableLayout
from sklearnish.training import EpsilonFirstAdam, FunctionLoss, Muon, VelocitySGD

ESTIMATORS = tuple(
    kind for kind in vars(estimators).values() if isinstance(kind, type) and not isabstract(kind)
)
TABLES = (TableEncoder, TableLayout, *get_args(Column))
INSTANCES = (EpochTimes, PerBatch, PipelineReport, *TABLES)
AROUND_SKLEARN = (estimators.Incremental, Streamed, *TABLES)
MODULES = (
    *(MLP, PlainMLP, Autoencoder, EnsembleLinear, ImageCNN, ImageModule, TableModule),
    *(BinaryLogLoss, HalfPoissonDeviance, HalfSquaredError, LogLoss, QuantileLoss),
    FunctionLoss,
)
OPTIMIZERS = (EpsilonFirstAdam, Muon, VelocitySGD)
STAND_INS = (Distribution, Part, Partial)

OURS: dict[str, type] = {
    f"sklearnish:{kind.__name__}": kind
    for kind in (*ESTIMATORS, Streamed, *INSTANCES, *MODULES, *OPTIMIZERS, *STAND_INS)
}
"""What files may name of ours. A name that was written once stays here for ever."""

_WERE_IN = {
    "Distribution": "sklearnish.persistence._distributions",
    "EpochTimes": "sklearnish.data._report",
    "FunctionLoss": "sklearnish.training._loss",
    "MLP": "sklearnish.modules.mlp",
    "Part": "sklearnish.persistence._containers",
    "Partial": "sklearnish.persistence._partials",
    "PerBatch": "sklearnish.data._transforms",
    "PipelineReport": "sklearnish.data._report",
    "TorchClassifier": "sklearnish.estimators._classifier",
    "TorchRegressor": "sklearnish.estimators._regressor",
}
"""Where version 0.1 had them, which its files tell; not where they are now."""

_RENAMED = {
    f"{module}{sign}{name}": f"sklearnish{sign}{name}"
    for name, module in _WERE_IN.items()
    for sign in ":."
}


_KEYS = frozenset({"$class", "$code"})


def spell(value: Any) -> str:
    """Name a class or function as files do."""
    module, name = value.__module__, value.__qualname__
    return f"sklearnish:{name}" if str(module).startswith("sklearnish.") else f"{module}:{name}"


def renamed(name: Any) -> Any:
    """Return the name of today for one of version 0.1."""
    return _RENAMED.get(name, name) if isinstance(name, str) else name


def find(name: str) -> Any:
    """Return what a name stands for; other modules than ours are imported."""
    return OURS[name] if name in OURS else pkgutil.resolve_name(name)


def path_of(name: str) -> str:
    """Name something of ours by the module that it is in, as who imports it does."""
    kind = OURS.get(name)
    return name if kind is None else f"{kind.__module__}:{kind.__qualname__}"


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
        spelt = spell(value)
        found = find(spelt)
    except (ValueError, ImportError, AttributeError):
        found = None
    if found is not value or found is None:
        raise ValueError(
            f"{where} is {value!r}, which cannot be imported by name, so it cannot be saved "
            "without pickle. Define it at the top level of a module: no lambda, no local class "
            "or function."
        )
    return spelt


def dotted(name: str) -> str:
    """Write a name as users do."""
    return name.replace(":", ".")


def rename_all(model: Any) -> None:
    """Bring the names in parsed JSON up to date."""
    for node in objects_in(model):
        for key in _KEYS & node.keys():
            node[key] = renamed(node[key])


def names_in(model: Any) -> Iterator[str]:
    """Yield the names of code anywhere in parsed JSON."""
    for node in objects_in(model):
        yield from (str(node[key]) for key in _KEYS & node.keys())


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
    return frozenset(spell(getattr(owner, word)) for word in words.split())


_OF_TORCH = (
    _names(nn, _LOSSES)
    | _names(torch.optim, _OPTIMIZERS)
    | _names(torch.optim.lr_scheduler, _SCHEDULES)
)
TO_NAME = frozenset(
    dotted(name) for name in (*_OF_TORCH, *map(spell, (MLP, Autoencoder, ImageCNN, TableModule)))
)
"""Classes that a search may name as users write it, though hold no instance of."""

LOSS_FUNCTIONS = _names(F, _LOSS_FUNCTIONS)
"""Functions of torch that may be the loss of a net."""

KNOWN = (
    frozenset(map(spell, (*ESTIMATORS, *INSTANCES, *MODULES, *OPTIMIZERS)))
    | _OF_TORCH
    | _names(nn, _LAYERS)
    | LOSS_FUNCTIONS
    | {"inspect:_empty"}
)


class Trust:
    """Finds the code that a file names, if it is on the list or the user trusts it."""

    def __init__(self, trusted: Iterable[str]) -> None:
        listed = isinstance(trusted, Iterable) and not isinstance(trusted, str | bytes)
        names = list(trusted) if listed else [None]
        if not all(isinstance(name, str) for name in names):  # no way to trust whatever is asked
            raise TypeError(
                f"trusted={names if listed else trusted!r} must be a list of import paths, such as "
                'trusted=["my_module.Net"]; without it, the error lists what the file asks for.'
            )
        self.names = frozenset(map(renamed, names))

    def allows(self, name: str) -> bool:
        """Say whether code may be imported."""
        return name in KNOWN or self.chosen(name)

    def chosen(self, name: str) -> bool:
        """Say whether the user named it."""
        return dotted(name) in self.names

    def chose(self, value: Any) -> bool:
        """Say whether the user named this class or function."""
        return hasattr(value, "__qualname__") and self.chosen(spell(value))

    def calls(self, function: Any, known: frozenset[str]) -> bool:
        """Say whether what a partial calls in the end is known, or the user's own."""
        function = unwrapped(function)
        named = function if hasattr(function, "__qualname__") else type(function)
        return spell(named) in known or self.chose(named)

    def find(self, name: Any) -> Any:
        """Import what a name stands for."""
        if not isinstance(name, str) or not self.allows(name):
            raise ValueError(f"it names {name!r}, which is not trusted.")
        return find(name)

    def check(self, model: Any, others: Iterable[str] = ()) -> None:
        """Refuse a file that names other code, before any is imported; list all of it."""
        wanted = {dotted(name) for name in names_in(model) if not self.allows(name)}
        missing = sorted(wanted | set(others))
        if missing:
            raise ValueError(
                f"it needs code that is not trusted. If you trust the file and this code, which "
                f"is then run as the file wants it, pass trusted={missing!r}."
            )


def unwrapped(value: Any) -> Any:
    """Return what a functools.partial calls in the end."""
    while isinstance(value, partial):
        value = value.func
    return value


def is_known(value: Any) -> bool:
    """Say whether a class or function is on the list."""
    return hasattr(value, "__qualname__") and spell(value) in KNOWN
