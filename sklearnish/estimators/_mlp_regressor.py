"""MLPRegressor: scikit-learn's, on Datasets and GPUs."""

from typing import Any

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from torch import Tensor, nn

from sklearnish.data import warn
from sklearnish.estimators._base import Array
from sklearnish.estimators._constructor import parameter, parameterized
from sklearnish.estimators._mlp_mixin import MLPMixin, can_go_on
from sklearnish.estimators._regressor import TorchRegressor
from sklearnish.modules import HalfPoissonDeviance, HalfSquaredError


@parameterized
class MLPRegressor(MLPMixin, TorchRegressor):
    """Regressor with parameters, defaults, rules and attributes of scikit-learn's of that name.

    A script that imports it from here instead of ``sklearn.neural_network`` can pass Datasets of
    files that do not fit into memory, and trains on a GPU if there is one. It computes in float32
    or float64, as its rows are; rows of files are float32, unless ``ds.with_dtype`` says otherwise.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    coefs_ : list of ndarray of shape (n_inputs, n_outputs)
        Weights of each layer.
    intercepts_ : list of ndarray of shape (n_outputs,)
        Biases of each layer.
    n_layers_ : int
        Number of layers, the inputs counted as one.
    n_outputs_ : int
        Number of outputs, one for each target.
    out_activation_ : str
        What turns outputs into predictions, "identity" or "exp".
    t_ : int
        Number of training rows seen, in all epochs.
    loss_curve_ : list of float
        Training loss of each epoch; not with "lbfgs", nor are the following.
    best_loss_ : float or None
        Least of them; None with early stopping.
    validation_scores_ : list of float or None
        R2 of each epoch on the validation rows; None without them.
    best_validation_score_ : float or None
        Best of them.
    {attributes}

    Examples
    --------
    >>> import sklearnish as sn
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X, y = scale(X), scale(y)
    >>> reg = sn.MLPRegressor(tol=1e-3, random_state=0).fit(X, y)
    >>> reg.score(X, y) > 0.5
    True
    """

    loss: str = parameter(
        default="squared_error",
        kind='{"squared_error", "poisson"}',
        allowed=[StrOptions({"squared_error", "poisson"})],
        kw_only=False,
        doc="""What is minimised: half of the squared error, or of the Poisson deviance, with the
        logarithm of the prediction as output.""",
    )

    standardize_target = False
    monitor = "r2"

    @available_if(can_go_on)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "MLPRegressor":
        """Train for one epoch on these rows, continuing from what was learned before.

        Parameters
        ----------
        X : like X of fit
            Rows to learn from.
        y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
            Targets. None takes those of the Dataset.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            With early stopping.
        """
        super().partial_fit(X, y, sample_weight=sample_weight)
        return self

    @property
    def out_activation_(self) -> str:
        """What turns outputs into predictions."""
        return "exp" if self._are_rates else "identity"

    def _check_y(self, y: Array, *, reset: bool) -> Array:
        y = super()._check_y(_as_vector(y), reset=reset)
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(
                f"loss='poisson' needs targets of at least 0, got {y.min():g}. Use "
                "loss='squared_error'."
            )
        return y

    def _choose_criterion(self, outputs: Tensor) -> Any:
        self._are_rates = self.loss == "poisson"
        return HalfPoissonDeviance if self._are_rates else HalfSquaredError

    def _loss_units(self, criterion: nn.Module) -> float:
        return 1.0

    def _in_units(self, outputs: Tensor) -> Any:
        return super()._in_units(outputs.exp() if self._are_rates else outputs)


def _as_vector(y: Array) -> Array:
    """Take targets in one column for those of a vector, with a warning, as scikit-learn does."""
    if np.ndim(y) != 2 or np.shape(y)[1] != 1:
        return y
    warn(
        f"A column-vector y was passed when a 1d array was expected: it has shape {np.shape(y)}. "
        "predict returns a vector. Pass y.ravel().",
        DataConversionWarning,
    )
    return np.asarray(y).ravel()
