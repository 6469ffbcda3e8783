"""TorchRegressor: numbers in, numbers out."""

from typing import Any

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils.validation import _check_y
from torch import Tensor, nn

from sklearnish.estimators._base import Array, TorchEstimator
from sklearnish.training import moments

_POWERS = {nn.MSELoss: 2, nn.HuberLoss: 2, nn.L1Loss: 1, nn.SmoothL1Loss: 1}
"""Losses that a change of units multiplies by a power of it."""


class TorchRegressor(RegressorMixin, TorchEstimator):
    """Regressor that trains a PyTorch module batch by batch.

    XXDOC
    """

    def __init__(
        self,
        module: Any = None,
        *,
        module_params: dict[str, Any] | None = None,
        criterion: Any = None,
        criterion_params: dict[str, Any] | None = None,
        standardize_target: bool = True,
        optimizer: Any = "adam",
        optimizer_params: dict[str, Any] | None = None,
        lr: float = 1e-3,
        lr_schedule: Any = None,
        max_epochs: int = 10,
        batch_size: int = 256,
        clip_grad_norm: float | None = None,
        accumulate_steps: int = 1,
        precision: str = "float32",
        compile: bool = False,
        device: Any = "auto",
        sampler: Any = "shuffle",
        augment: Any = None,
        shuffle_memory: int | str = "256MB",
        num_workers: int | str = "auto",
        pin_memory: bool | str = "auto",
        num_threads: int | str = "auto",
        worker_timeout: float = 300,
        predict_batch_size: int | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        monitor: str = "loss",
        patience: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        callbacks: list[Any] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.module = module
        self.module_params = module_params
        self.criterion = criterion
        self.criterion_params = criterion_params
        self.standardize_target = standardize_target
        self.optimizer = optimizer
        self.optimizer_params = optimizer_params
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.clip_grad_norm = clip_grad_norm
        self.accumulate_steps = accumulate_steps
        self.precision = precision
        self.compile = compile
        self.device = device
        self.sampler = sampler
        self.augment = augment
        self.shuffle_memory = shuffle_memory
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.num_threads = num_threads
        self.worker_timeout = worker_timeout
        self.predict_batch_size = predict_batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.monitor = monitor
        self.patience = patience
        self.tol = tol
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    # Targets

    def partial_fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> "TorchRegressor":
        """Train for one epoch on these rows, going on from what was learned before.

        Parameters
        ----------
        X : like X of fit
            Rows to learn from.
        y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
            Targets. None takes those of the Dataset. The scale of the first call's is kept.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        self
            The fitted estimator.
        """
        return self._partial_fit(X, y, sample_weight)  # type: ignore[no-any-return]

    def _check_y(self, y: Array, *, reset: bool) -> Array:
        y = _check_y(y, multi_output=True, y_numeric=True, estimator=self)
        y = y.astype(np.float64, copy=False)
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
        if self._standardizes():
            columns = torch.from_numpy(np.require(y, requirements="CW")).reshape(len(y), -1)
            weights = None if weight is None else torch.from_numpy(weight)
            mean, scale = moments(columns, weights)
            self.target_mean_ = mean.reshape(shape).numpy()
            self.target_scale_ = scale.reshape(shape).numpy()

    def _standardizes(self) -> bool:
        """Say whether the loss allows the target to be standardised."""
        if not self.standardize_target:
            return False
        criterion = nn.MSELoss if self.criterion is None else self.criterion
        return (criterion if isinstance(criterion, type) else type(criterion)) in _POWERS

    def _to_loss(self, y: Array) -> Array:
        dtype = np.float64 if self.precision == "float64" else np.float32
        return ((y - self.target_mean_) / self.target_scale_).astype(dtype)

    def _from_codes(self, y: Array) -> Array:
        return y

    def _loss_units(self, criterion: nn.Module) -> float | Tensor:
        units = self.target_scale_ ** _POWERS.get(type(criterion), 0)
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
            Values in the precision of the module, with two exceptions of scikit-learn's:
            float32 for a float32 array, float64 for targets in columns.
        """
        values = self._predict_of(self._outputs(X))
        if isinstance(X, np.ndarray) and X.dtype == np.float32:
            return values.astype(np.float32, copy=False)
        return values.astype(np.float64) if values.ndim == 2 else values

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
        from sklearn.metrics import r2_score

        y = self._scored_y(X, y)
        return float(r2_score(y, self.predict(X), sample_weight=sample_weight))

    def _predict_of(self, outputs: Tensor) -> Array:
        """Bring outputs to the target's shape and units."""
        values = outputs.numpy().reshape(len(outputs), *self._y_shape)
        scale = self.target_scale_.astype(values.dtype)
        return values * scale + self.target_mean_.astype(values.dtype)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
