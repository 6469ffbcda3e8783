"""Modules that we ship; they know torch alone."""

from sklearnish.modules.autoencoder import Autoencoder
from sklearnish.modules.canonical_losses import (
    BinaryLogLoss,
    CanonicalLoss,
    HalfPoissonDeviance,
    HalfSquaredError,
    LogLoss,
)
from sklearnish.modules.image import ImageCNN, ImageModule, ImageStatistics, image_statistics
from sklearnish.modules.mlp import MLP
from sklearnish.modules.plain_mlp import PlainMLP
from sklearnish.modules.quantile import QuantileLoss
from sklearnish.modules.scaling import InputScaling
from sklearnish.modules.table import EnsembleLinear, TableModule

__all__ = [
    "MLP",
    "Autoencoder",
    "BinaryLogLoss",
    "CanonicalLoss",
    "EnsembleLinear",
    "HalfPoissonDeviance",
    "HalfSquaredError",
    "ImageCNN",
    "ImageModule",
    "ImageStatistics",
    "InputScaling",
    "LogLoss",
    "PlainMLP",
    "QuantileLoss",
    "TableModule",
    "image_statistics",
]
