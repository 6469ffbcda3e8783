"""Modules that we ship; they know torch alone."""

from sklearnish.modules.mlp import MLP
from sklearnish.modules.quantile import QuantileLoss
from sklearnish.modules.table import EnsembleLinear, TableModule

__all__ = ["MLP", "EnsembleLinear", "QuantileLoss", "TableModule"]
