"""Estimators that keep scikit-learn's contract."""

from sklearnish.estimators._classifier import TorchClassifier
from sklearnish.estimators._regressor import TorchRegressor

__all__ = ["TorchClassifier", "TorchRegressor"]
