"""Estimators that keep scikit-learn's contract."""

from sklearnish.estimators._base import TorchEstimator
from sklearnish.estimators._classifier import TorchClassifier
from sklearnish.estimators._fitting.fit_task import CALLBACKS, learned_by
from sklearnish.estimators._fitting.images import look_like_channels_last
from sklearnish.estimators._fitting.inputs import check_some_rows
from sklearnish.estimators._fitting.module import input_dtype, module_of
from sklearnish.estimators._fitting.ranks import ELSEWHERE, Given, Outcome, outcome_of
from sklearnish.estimators._fitting.rows import STEP
from sklearnish.estimators._image_classifier import ImageClassifier
from sklearnish.estimators._incremental import Incremental
from sklearnish.estimators._mlp_classifier import MLPClassifier
from sklearnish.estimators._mlp_regressor import MLPRegressor
from sklearnish.estimators._predicting.any_model import predict_to
from sklearnish.estimators._regressor import TorchRegressor
from sklearnish.estimators._tabular_classifier import TabularClassifier
from sklearnish.estimators._tabular_regressor import TabularRegressor
from sklearnish.estimators._transformer import TorchTransformer

__all__ = [
    "CALLBACKS",
    "ELSEWHERE",
    "STEP",
    "Given",
    "ImageClassifier",
    "Incremental",
    "MLPClassifier",
    "MLPRegressor",
    "Outcome",
    "TabularClassifier",
    "TabularRegressor",
    "TorchClassifier",
    "TorchEstimator",
    "TorchRegressor",
    "TorchTransformer",
    "check_some_rows",
    "input_dtype",
    "learned_by",
    "look_like_channels_last",
    "module_of",
    "outcome_of",
    "predict_to",
]
