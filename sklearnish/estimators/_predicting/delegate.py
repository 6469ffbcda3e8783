"""What an estimator around another one does with new rows: what that one does, part by part."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import is_classifier, is_clusterer, is_regressor
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearnish.data import Dataset, as_dataset
from sklearnish.estimators._fitting.inputs import to_dataset
from sklearnish.estimators._fitting.labels import array_of_targets
from sklearnish.estimators._predicting import any_model, scores
from sklearnish.estimators._predicting.answers import collect
from sklearnish.estimators._predicting.rowwise import RowwiseMethod
from sklearnish.preprocessing import FrameOutputMixin

Array = npt.NDArray[Any]


def _has(method: str) -> Callable[[Any], bool]:
    """Ask whether the estimator has a method, fitted or not."""
    return lambda self: hasattr(vars(self).get("estimator_", self.estimator), method)


class DelegateMixin(FrameOutputMixin):
    """Gives an estimator the methods that its `estimator` has, fitted as `estimator_`."""

    estimator: Any
    estimator_: Any

    @available_if(_has("predict"))
    def predict(self, X: Any) -> Array:
        """Predict, some rows at a time.

        Parameters
        ----------
        X : like X of fit
            Rows.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, n_targets)
            What the estimator predicts.
        """
        return self._collected("predict", X)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities, some rows at a time.

        Parameters
        ----------
        X : like X of fit
            Rows.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            Probabilities, in the order of `classes_`.
        """
        return self._collected("predict_proba", X)

    @available_if(_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> Array:
        """Predict logarithms of probabilities, some rows at a time.

        Parameters
        ----------
        X : like X of fit
            Rows.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            Logarithms, in the order of `classes_`.
        """
        return self._collected("predict_log_proba", X)

    @available_if(_has("decision_function"))
    def decision_function(self, X: Any) -> Array:
        """Compute the decision function, some rows at a time.

        Parameters
        ----------
        X : like X of fit
            Rows.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, n_classes)
            What the estimator computes.
        """
        return self._collected("decision_function", X)

    @available_if(_has("score_samples"))
    def score_samples(self, X: Any) -> Array:
        """Score each row, some rows at a time.

        Parameters
        ----------
        X : like X of fit
            Rows.

        Returns
        -------
        ndarray of shape (n_rows,)
            What the estimator computes.
        """
        return self._collected("score_samples", X)

    @available_if(_has("score"))
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Score predictions, some rows at a time.

        Parameters
        ----------
        X : like X of fit
            Rows.
        y : like y of fit, default=None
            Targets. None takes those of the Dataset.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows, for a classifier or a regressor.

        Returns
        -------
        float
            The accuracy of a classifier, R2 of a regressor, and the sum over the rows of a
            clusterer; of other estimators, which are given all rows at once, what they return.
        """
        check_is_fitted(self)
        if is_classifier(self) or is_regressor(self):
            rows = as_dataset(X) if isinstance(X, torch.utils.data.Dataset) else X
            own = rows.target if isinstance(rows, Dataset) else None
            y = array_of_targets(own if y is None else y, self, rows)
            weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
            measure = scores.accuracy if is_classifier(self) else scores.r2
            return measure(y, self._pieces("predict", rows)[1], weight)
        dataset = to_dataset(self, X, reset=False)
        if is_clusterer(self):
            parts = (np.asarray(dataset[rows]) for rows, _ in any_model.parts(dataset))
            return float(sum(map(self.estimator_.score, parts)))
        return float(self.estimator_.score(np.asarray(dataset)))

    @available_if(_has("fit_predict"))
    def fit_predict(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> Array:
        """Fit, and predict for the same rows.

        Parameters
        ----------
        X : like X of fit
            Rows.
        y : like y of fit, default=None
            Targets, if there are any.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        ndarray of shape (n_rows,)
            As of `predict`.
        """
        fitted: Any = self
        labels: Array = fitted.fit(X, y, sample_weight=sample_weight).predict(X)
        return labels

    @available_if(_has("transform"))
    def transform(self, X: Any) -> Any:
        """Transform rows.

        Parameters
        ----------
        X : like X of fit
            Rows. Of a Dataset or torch Dataset, nothing is read but a few rows.

        Returns
        -------
        ndarray, DataFrame or Dataset
            What the estimator returns, dense. Of a Dataset or torch Dataset a Dataset, whose rows
            are transformed whenever they are read, with target and weights as before.
        """
        check_is_fitted(self)
        if isinstance(X, Dataset | torch.utils.data.Dataset):
            rows = to_dataset(self, as_dataset(X), reset=False)._as_arrays_are()
            return rows.map_batches(RowwiseMethod(self.estimator_, "transform"))
        return self._in_output(X, self._collected("transform", X))

    @available_if(_has("transform"))
    def fit_transform(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> Any:
        """Fit, and transform the same rows.

        Parameters
        ----------
        X : like X of fit
            Rows.
        y : like y of fit, default=None
            Targets.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        ndarray, DataFrame or Dataset
            As of `transform`.
        """
        fitted: Any = self
        return fitted.fit(X, y, sample_weight=sample_weight).transform(X)

    @available_if(_has("inverse_transform"))
    def inverse_transform(self, X: Any) -> Any:
        """Undo the transformation.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features_out) or Dataset
            Transformed rows.

        Returns
        -------
        ndarray of shape (n_rows, n_features), or Dataset
            What the estimator returns; of a Dataset a Dataset.
        """
        check_is_fitted(self)
        if isinstance(X, Dataset):
            undo = RowwiseMethod(self.estimator_, "inverse_transform")
            return X._as_arrays_are().map_batches(undo)
        return self.estimator_.inverse_transform(X)

    @available_if(_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Name the features of what `transform` returns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features of `fit`.

        Returns
        -------
        ndarray of str
            What the estimator says.
        """
        check_is_fitted(self)
        return np.asarray(self.estimator_.get_feature_names_out(input_features), dtype=object)

    @available_if(_has("transform"))
    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose what `transform` returns of rows in memory.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            A frame of that library, or an array. None changes nothing.

        Returns
        -------
        self
            This estimator.
        """
        return super().set_output(transform=transform)

    def _pieces(self, method: str, X: Any) -> tuple[int, Any]:
        """Count the rows, and compute the results of a method, some rows at a time."""
        check_is_fitted(self)
        rows = to_dataset(self, X, reset=False)
        return len(rows), any_model.results(getattr(self.estimator_, method), rows)

    def _collected(self, method: str, X: Any) -> Array:
        """Put the results of a method together."""
        return collect(*self._pieces(method, X))
