"""What classifier and regressor share: from X and y to a trained net, and back to answers."""

from abc import ABCMeta, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted
from torch import Tensor, nn

from sklearnish.data import Dataset, Loader, as_dataset
from sklearnish.estimators._building import build_net
from sklearnish.estimators._inputs import checked_array, is_lazy, to_dataset
from sklearnish.estimators._params import CONSTRAINTS, NestedParams
from sklearnish.estimators._predicting import outputs_of_array, outputs_of_dataset
from sklearnish.estimators._scoring import make_score
from sklearnish.estimators._split import hold_out
from sklearnish.estimators._validation import Validation, validation_rows
from sklearnish.training import (
    EarlyStopping,
    Net,
    resolve_device,
    seeded,
    thread_count,
    weight_dtype,
)

Array = npt.NDArray[Any]


class TorchEstimator(NestedParams, BaseEstimator, metaclass=ABCMeta):  # type: ignore[misc]
    """Base of the estimators that train a module; not for direct use.

    A subclass says how targets become what the loss takes, and outputs answers.
    """

    _net_class: type[Net] = Net

    # What a subclass answers

    @abstractmethod
    def _check_y(self, y: Any, *, reset: bool) -> Array:
        """Check and encode targets; with `reset`, learn the classes or the number of targets."""

    @abstractmethod
    def _learn_target(self, y: Array, weight: Array | None) -> None:
        """Learn from the training rows' encoded targets alone."""

    @abstractmethod
    def _to_loss(self, y: Array) -> Array:
        """Turn encoded targets into what the criterion takes."""

    @abstractmethod
    def _from_loss(self, y: Array) -> Array:
        """Turn them back into targets as the user gave them, for scorers."""

    @abstractmethod
    def _n_outputs(self) -> int:
        """Say how many outputs the module is asked for."""

    @abstractmethod
    def _choose_criterion(self, outputs: Tensor) -> Any:
        """Return the criterion, class or instance, for a module with such outputs."""

    @abstractmethod
    def _describe_outputs(self, width: int) -> str:
        """Say what the outputs must be, for an error."""

    def _weigh_rows(self, y: Array, weight: Array | None) -> Array | None:
        """Add what the classes weigh to the rows' weights."""
        return weight

    def _labels_to_stratify(self, y: Array) -> Array | None:
        """Return labels by which to split held-out rows."""
        return None

    def _loss_units(self, criterion: nn.Module) -> float | Tensor:
        """Return what turns a loss into the one reported."""
        return 1.0

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
        """Train the module.

        Parameters
        ----------
        X : Dataset, array-like, sparse matrix, DataFrame, Tensor or torch Dataset
            Rows to learn from.
        y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
            Targets. None takes those of the Dataset.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows in the loss; rows of weight 0 are left out. None takes those of
            the Dataset, if it has any.
        X_val, y_val, sample_weight_val : like X, y and sample_weight, default=None
            Rows on which every epoch is evaluated; for early stopping they take the place of a
            held-out fraction.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If parameters or data cannot be used; before training where that can be known.
        FloatingPointError
            If the loss turns NaN or infinite; the message names step, epoch and learning rate.
        """
        self._validate_params()
        resume = self.warm_start and hasattr(self, "net_")
        data = self._view(X, y, sample_weight, reset=not resume)
        if X_val is not None:
            valid = self._view(X_val, y_val, sample_weight_val, reset=False)
        else:
            data, valid = self._split(data, resume)
        if not resume:
            self._seed = self._draw_seed()
            self._learn_target(data.target, data.weight)
        self._train(data, valid, self.max_epochs, self._warm_net if resume else self._new_net)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any) -> Any:
        """Train for one epoch more; the first call sets everything up."""
        self._validate_params()
        first = not hasattr(self, "net_")
        data = self._view(X, y, sample_weight, reset=first)
        if first:
            self._seed = self._draw_seed()
            self._learn_target(data.target, data.weight)
        self._train(data, None, 1, self._new_net if first else self._same_net)
        return self

    def _draw_seed(self) -> int:
        """Draw the seed of everything random."""
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _view(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Dataset:
        """Make a Dataset with encoded targets and weights, without rows of weight zero."""
        dataset = to_dataset(self, X, reset=reset)
        y = dataset.target if y is None and isinstance(X, Dataset) or _has_target(X, y) else y
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        y = self._as_y(y)
        check_consistent_length(dataset, y)
        weight = dataset.weight if sample_weight is None else sample_weight
        if weight is not None:
            weight = _check_sample_weight(
                weight, dataset, dtype=np.float64, ensure_non_negative=True
            )
            if not weight.any():
                raise ValueError("sample_weight is zero for all rows; none is left to train on.")
            if not weight.all():
                kept = np.flatnonzero(weight)
                dataset, y, weight = dataset[kept], y[kept], weight[kept]
        codes = self._check_y(y, reset=reset)
        view = dataset.with_target(codes).with_weight(self._weigh_rows(codes, weight))
        return view.with_dtype(weight_dtype(self.precision))

    def _split(self, data: Dataset, resume: bool) -> tuple[Dataset, Dataset | None]:
        """Hold rows out for early stopping."""
        if not self.early_stopping:
            return data, None
        seed = self._seed if resume else self._draw_seed()
        labels = self._labels_to_stratify(data.target)
        train, held = hold_out(len(data), self.validation_fraction, labels, seed)
        return data[train], data[held]
