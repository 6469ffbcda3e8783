"""Modules that we ship; they know torch alone."""

from sklearnish.modules.autoencoder import Autoencoder
from sklearnish.modules.image import ImageCNN, ImageModule, ImageStatistics, image_statistics
from sklearnish.modules.mlp import MLP
from sklearnish.modules.quantile import QuantileLoss
from sklearnish.modules.scaling import InputScaling
from sklearnish.modules.table import EnsembleLinear, TableModule

__all__ = [
    "MLP",
    "Autoencoder",
    "EnsembleLinear",
    "ImageCNN",
    "ImageModule",
    "ImageStatistics",
    "InputScaling",
    "QuantileLoss",
    "TableModule",
    "image_statistics",
]
