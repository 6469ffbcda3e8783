"""TorchRegressor: numbers in, numbers out."""

from typing import Any

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils.validation import _check_y
from torch import Tensor, nn

from sklearnish.estimators._base import Array, TorchEstimator
from sklearnish.estimators._constructor import parameter, parameterized
from sklearnish.estimators._fitting.module import check_regression_loss
from sklearnish.estimators._fitting.units import check_range, is_far, loss_units, scales
from sklearnish.estimators._predicting.answers import Answer
from sklearnish.estimators._predicting.scores import r2
from sklearnish.preprocessing import moments


@parameterized
class TorchRegressor(RegressorMixin, TorchEstimator):
    """Regressor that trains a PyTorch module batch by batch.

    X may be arrays, DataFrames, torch Datasets or Datasets of files that do not fit into memory.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    target_mean_ : ndarray of shape () or (n_targets,)
        Mean of the targets, which `predict` adds to the scaled outputs of the module.
    target_scale_ : ndarray of shape () or (n_targets,)
        Scale of the targets, by which `predict` multiplies the outputs of the module.
    {attributes}

    Examples
    --------
    >>> import sklearnish as sn
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = sn.TorchRegressor(max_epochs=50, batch_size=64, random_state=0).fit(X, y)
    >>> reg.score(X, y) > 0.5
    True
    """

    standardize_target: bool = parameter(
        default=True,
        after="criterion_params",
        doc="""Whether the module learns targets of mean 0 and deviation 1, which `predict` undoes.
        Only with squared, absolute and Huber losses, whose thresholds are then in deviations;
        losses are reported in the target's own units.""",
    )

    # Targets

    def partial_fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> "TorchRegressor":
        """Train for one epoch on these rows, continuing from what was learned before.

        No rows are held out: `early_stopping` and its parameters are not used.

        Parameters
        ----------
        X : like X of fit
            Rows to learn from.
        y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
            Targets. None takes those of the Dataset. The scale of the first call is kept.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        self
            The fitted estimator.
        """
        return self._partial_fit(X, y, sample_weight)

    def _check_params(self, *, fresh: bool) -> None:
        if self.sampler == "balanced":
            raise ValueError(
                'sampler="balanced" draws classes alike, and a regressor has none; use "shuffle", '
                'or "weighted" with sample_weight.'
            )
        check_regression_loss(self.criterion)
        super()._check_params(fresh=fresh)

    def _check_y(self, y: Array, *, reset: bool) -> Array:
        y = _check_y(y, multi_output=True, y_numeric=True, estimator=self)
        y = y.astype(np.float64, copy=False)
        if self.precision != "float64":
            check_range(y)
        if reset:
            self._y_shape = y.shape[1:]
        elif y.shape[1:] != self._y_shape:
            raise ValueError(
                f"y has shape {y.shape}, but fit saw {(len(y), *self._y_shape)}: the number of "
                "targets differs."
            )
        return y

    def _learn_target(self, y: Array, weight: Array | None) -> None:
        shape = self._y_shape
        self.target_mean_, self.target_scale_ = np.zeros(shape), np.ones(shape)
        if self.standardize_target and scales(self.criterion):
            columns = torch.from_numpy(np.require(y, requirements=["C", "W"])).reshape(len(y), -1)
            weights = None if weight is None else torch.from_numpy(weight)
            mean, scale = moments(columns, weights)
            self.target_mean_ = mean.reshape(shape).numpy()
            self.target_scale_ = scale.reshape(shape).numpy()

    def _to_loss(self, y: Array) -> Array:
        dtype = np.float64 if self.precision == "float64" else np.float32
        return ((y - self.target_mean_) / self.target_scale_).astype(dtype)

    def _from_codes(self, y: Array) -> Array:
        return y

    def _loss_units(self, criterion: nn.Module) -> float | Tensor:
        units = loss_units(criterion, self.target_scale_)
        if units.size == 1:
            return float(units.reshape(()))
        dtype = torch.float64 if self.precision == "float64" else torch.float32
        return torch.from_numpy(units).to(dtype)

    # Module and criterion

    def _n_outputs(self) -> int:
        return self._y_shape[0] if self._y_shape else 1

    def _choose_criterion(self, outputs: Tensor) -> Any:
        return nn.MSELoss if self.criterion is None else self.criterion

    def _width(self, outputs: Tensor) -> int:
        return self._n_outputs()

    def _describe_outputs(self) -> str:
        n = self._n_outputs()
        return f"a value for each of {n} targets" if n > 1 else "a value for the one target"

    # Answers

    def predict(self, X: Any) -> Array:
        """Predict targets.

        Parameters
        ----------
        X : like X of fit
            Rows.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, n_targets)
            Values, scaled back in float64 and returned in the precision of the module, with two
            exceptions for scikit-learn: float32 for a float32 array, float64 for targets in
            columns. Targets that float32 would round, because they are far from zero and vary
            little (such as Unix times), are always float64.
        """
        return self._predict("predict", X)

    def _answer(self, method: str, X: Any) -> Answer:
        if is_far(self.target_mean_, self.target_scale_):
            return self._predict_of
        if isinstance(X, np.ndarray) and X.dtype == np.float32:
            return lambda outputs: self._in_units(outputs).float().numpy()
        if self._y_shape:
            return lambda outputs: self._in_units(outputs).numpy()
        return self._predict_of

    def _answer_columns(self, method: str) -> list[str]:
        n = self._n_outputs()
        return ["prediction"] if n == 1 else [f"prediction_{i}" for i in range(n)]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the coefficient of determination, R2.

        Parameters
        ----------
        X : like X of fit
            Rows.
        y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
            Targets. None takes those of the Dataset.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        float
            R2, averaged over targets.
        """
        X, y, weight = self._scored(X, y, sample_weight)
        return r2(y, self._answers("predict", X)[1], weight)

    def _predict_of(self, outputs: Tensor) -> Array:
        """Turn outputs into values."""
        return self._result_of(outputs).numpy()

    _result = "prediction"

    def _result_of(self, outputs: Tensor) -> Tensor:
        """Return values in the precision of the module, where that can tell the targets apart.

        The last bits of outputs depend on how many rows are computed at once. As float64 they
        would look as if they were exact.
        """
        values = self._in_units(outputs)
        far = is_far(self.target_mean_, self.target_scale_)
        return values if far else values.to(outputs.dtype)

    def _in_units(self, outputs: Tensor) -> Tensor:
        """Bring outputs to the target's shape and units, in float64."""
        return self._scaled_back(outputs.reshape(-1, *self._y_shape))

    def _scaled_back(self, values: Tensor) -> Tensor:
        """Undo what was done to the targets of fit."""
        scale = torch.tensor(self.target_scale_, dtype=torch.float64)
        return values.double() * scale + torch.tensor(self.target_mean_, dtype=torch.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
