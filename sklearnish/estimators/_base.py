"""What classifier and regressor share: from X and y to a trained net, and back to answers."""

from abc import ABCMeta, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted
from torch import Tensor

from sklearnish.data import Batch, Dataset, Loader
from sklearnish.data._batch import narrow, to_device
from sklearnish.estimators._building import build_module, n_inputs, scale_inputs
from sklearnish.estimators._inputs import checked_array, is_lazy, to_dataset
from sklearnish.estimators._params import CONSTRAINTS, NestedParams
from sklearnish.estimators._scoring import Outputs, make_score
from sklearnish.estimators._split import hold_out
from sklearnish.training import (
    OPTIMIZERS,
    EarlyStopping,
    Net,
    check_shape,
    dry_run,
    make_criterion,
    resolve_device,
    seeded,
    thread_count,
    warn_of_final_activation,
    weight_dtype,
)

Array = npt.NDArray[Any]

_PREDICT_BYTES, _PREDICT_ROWS = 2**22, 4096
"""What a batch of predict holds with "auto": as many rows as fit, and at most so many."""


class TorchEstimator(NestedParams, BaseEstimator, metaclass=ABCMeta):  # type: ignore[misc]
    """Base of the estimators that train a module; not for direct use."""

    _net_class: type[Net] = Net

    @abstractmethod
    def __init__(self, **params: Any) -> None:
        """Store parameters untouched."""

    @property
    def _parameter_constraints(self) -> dict[str, list[Any]]:
        """What scikit-learn's check of the parameters asks for."""
        return {name: CONSTRAINTS[name] for name in self._get_param_names()}

    # What classifier and regressor answer

    @abstractmethod
    def _encode(self, y: Any, weight: Array | None, *, reset: bool) -> Array:
        """Turn targets into what the loss takes; with `reset`, learn how."""

    @abstractmethod
    def _decode(self, y: Array) -> Array:
        """Turn encoded targets back into the user's."""

    @abstractmethod
    def _sizes(self) -> int:
        """Say how many outputs the module has."""

    @abstractmethod
    def _criterion(self, n_outputs: int) -> Any:
        """Choose the criterion where the user has not."""

    # Fit

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Train on rows."""
        self._validate_params()
        return self
