"""TorchRegressor: numbers in, numbers out."""

from typing import Any

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils.validation import _check_y
from torch import Tensor, nn

from sklearnish.estimators._base import Array, TorchEstimator
from sklearnish.estimators._params import check_regression_loss
from sklearnish.estimators._predicting import Answer
from sklearnish.estimators._scoring import r2
from sklearnish.training import moments

_POWERS = {nn.MSELoss: 2, nn.HuberLoss: 2, nn.L1Loss: 1, nn.SmoothL1Loss: 1}
"""Losses that a change of units multiplies by a power of it."""


class TorchRegressor(RegressorMixin, TorchEstimator):
    """Regressor that trains a PyTorch module batch by batch.

    X may be arrays, DataFrames, torch Datasets or Datasets of files that do not fit into memory.

    Parameters
    ----------
    module : nn.Module class or instance, or None, default=None
        What is trained. None is an MLP that standardises its inputs, sized to the data. A class
        is called with `module_params`, and with `in_features` (values per row) and
        `out_features` (targets) if its signature names them; an instance is
        copied, never changed. It returns values; rows reach ``forward`` as one tensor, or
        as keyword arguments where they are a dict of tensors.
    module_params : dict, default=None
        Arguments for the class; ``set_params(module__hidden=64)`` sets one of them.
    criterion : loss class or instance, or callable, default=None
        The loss of outputs and targets. None is the squared error.
    criterion_params : dict, default=None
        Arguments for the class; ``criterion__<name>`` sets one of them.
    standardize_target : bool, default=True
        Whether the module learns targets of mean 0 and deviation 1, which `predict` undoes. Only
        with squared, absolute and Huber losses, whose thresholds are then in deviations; losses
        are reported in the target's own units.
    optimizer : {"adam", "adamw", "sgd"} or optimizer class, default="adam"
        What changes the weights.
    optimizer_params : dict, default=None
        Arguments for it, such as ``{"weight_decay": 1e-4}``; ``optimizer__<name>`` sets one.
    lr : float, default=1e-3
        Learning rate.
    lr_schedule : {"cosine", "onecycle"}, scheduler class or None, default=None
        How the learning rate changes: the named ones step with every batch over the whole fit,
        a class of torch (or a ``functools.partial`` of one) with every epoch. With a
        `sampler` that draws fewer rows, a named one does not reach its end. In `partial_fit`,
        whose length nobody knows, it leaves the rate at `lr`; a class goes on from call to call.
    max_epochs : int, default=10
        Passes over the rows.
    batch_size : int, default=256
        Rows per step; the last batch of an epoch may be smaller, or one row larger.
    clip_grad_norm : float or None, default=None
        Largest norm of the gradient.
    accumulate_steps : int, default=1
        Batches that make up one step of the optimizer, as if they were one large batch.
    precision : {"float32", "float64", "bf16", "fp16"}, default="float32"
        In which numbers to compute; the half precisions keep weights in float32.
    compile : bool, default=False
        Whether to compile the training step (forward, loss, gradients) into one call, which
        pays off in long fits; what cannot be compiled is computed as usual, with a warning.
    device : str or torch.device, default="auto"
        "auto" takes CUDA, else MPS, else the CPU.
    sampler : {"shuffle", "sequential", "balanced", "weighted"} or callable, default="shuffle"
        Order of the rows in an epoch, or which are drawn. Rows drawn by weight or class are
        not weighted again in the loss. A callable is given the Dataset being fitted, with the
        targets passed to `fit`, and returns row numbers or a torch ``Sampler``.
    augment : callable, sequence of callables or None, default=None
        Random changes of each row in training; ``per_batch(f)`` changes whole batches.
    shuffle_memory : str or int, default="256MB"
        Memory that shuffling files may take.
    on_bad_rows : {"raise", "skip"}, default="raise"
        What `fit` does about rows that are damaged (pictures that cannot be decoded, row groups
        of Parquet that cannot be read), NaN or infinite. "skip" finds them in one more pass over
        the data, leaves them out, warns, and lists them in `pipeline_report_`. Targets must be
        whole, and what is predicted for is never skipped.
    num_workers : int or "auto", default="auto"
        Worker processes that read rows; 0 reads them beside the training step.
    pin_memory : bool or "auto", default="auto"
        Whether batches go to a GPU through page-locked memory.
    num_threads : int or "auto", default="auto"
        Threads of torch during `fit`, put back afterwards; "auto" leaves one core free for
        reading unless the rows are in memory.
    worker_timeout : float, default=300
        Seconds to wait for a worker.
    predict_batch_size : int or "auto", default="auto"
        Rows per batch of predictions and validation. With "auto", a batch to be predicted that
        does not fit into memory goes in halves; a number is never changed.
    early_stopping : bool, default=False
        Whether to stop when `monitor` no longer improves on held-out rows, and keep the best
        weights.
    validation_fraction : float, default=0.1
        Share of rows to hold out; not used where `fit` is given `X_val`.
    monitor : str, default="loss"
        "loss", or the name of a scorer of scikit-learn such as "r2".
    patience : int, default=10
        Epochs without improvement after which to stop.
    tol : float, default=1e-4
        What counts as improvement.
    isolate : bool, default=False
        Whether `fit` trains in a child process, which takes some seconds to start. What kills it,
        such as a want of memory or a crash in native code, is a `ChildProcessError` then, and a
        search with ``error_score=np.nan`` goes on with the next candidate. Ctrl-C ends the
        process, of which nothing is kept then but `checkpoint_dir`.
    checkpoint_dir : path, default=None
        Folder for checkpoints. A fit that was interrupted goes on from its last one when it is
        asked for again, with the same rows, parameters and `random_state`, and ends as if it had
        never stopped; one that was done is not done again. Any number of fits may share a
        folder, those of a search and its folds too. Needs `random_state`; plays no part in
        `partial_fit`.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last one.
    callbacks : list of skorch callbacks, default=None
        Told of every epoch, and of every batch if they ask for it.
    random_state : int, RandomState instance or None, default=None
        Fixes weights, order, dropout and augmentation; the global generators are left as they
        were found. None draws a seed from NumPy's global generator, as in scikit-learn.
        Fits in several threads of a process therefore run one after another.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    target_mean_ : ndarray of shape () or (n_targets,)
        What is added to the module's values times the scale.
    target_scale_ : ndarray of shape () or (n_targets,)
        By what the module's values are multiplied.
    module_ : nn.Module
        The trained module, in eval mode.
    net_ : skorch.NeuralNet
        What trained it, with optimizer and history.
    history_ : list of dict
        A record per epoch: epoch, train_loss, valid_loss, dur, lr, wait, and scores.
    pipeline_report_ : PipelineReport
        Where the time of the last fit went, as far as batches are concerned.
    n_iter_ : int
        Number of epochs.
    loss_ : float
        Training loss of the epoch whose weights were kept.
    n_inputs_ : int
        Number of values in a row.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where all are text.

    Examples
    --------
    >>> import sklearnish as sn
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = sn.TorchRegressor(max_epochs=50, batch_size=64, random_state=0).fit(X, y)
    >>> reg.score(X, y) > 0.5
    True
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
        on_bad_rows: str = "raise",
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
        isolate: bool = False,
        checkpoint_dir: Any = None,
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
        self.on_bad_rows = on_bad_rows
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
        self.isolate = isolate
        self.checkpoint_dir = checkpoint_dir
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    # Targets

    def partial_fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> "TorchRegressor":
        """Train for one epoch on these rows, going on from what was learned before.

        No rows are held out: `early_stopping` and its parameters play no part.

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
            columns = torch.from_numpy(np.require(y, requirements=["C", "W"])).reshape(len(y), -1)
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
        return self._predict("predict", X)

    def _answer(self, method: str, X: Any) -> Answer:
        if isinstance(X, np.ndarray) and X.dtype == np.float32:
            return lambda outputs: self._predict_of(outputs).astype(np.float32, copy=False)
        if self._y_shape:
            return lambda outputs: self._predict_of(outputs).astype(np.float64)
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
        y, weight = self._scored(X, y, sample_weight)
        return r2(y, self._answers("predict", X)[1], weight)

    def _predict_of(self, outputs: Tensor) -> Array:
        """Bring outputs to the target's shape and units."""
        values = outputs.numpy().reshape(len(outputs), *self._y_shape)
        scale = self.target_scale_.astype(values.dtype)
        return values * scale + self.target_mean_.astype(values.dtype)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
