"""What classifier and regressor share: from X and y to a trained net, and back to outputs."""

from abc import ABCMeta, abstractmethod
from typing import Any, ClassVar

import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from torch import Tensor, nn

from sklearnish.data import Batch, Dataset, resolve_device
from sklearnish.estimators import _parameters
from sklearnish.estimators._constructor import parameterized
from sklearnish.estimators._fitting.drafts import draft
from sklearnish.estimators._fitting.epochs import train
from sklearnish.estimators._fitting.fit_task import CallbackHost, FitTask
from sklearnish.estimators._fitting.held_out import check_validation, rows_held_out
from sklearnish.estimators._fitting.inputs import to_dataset
from sklearnish.estimators._fitting.labels import targets
from sklearnish.estimators._fitting.module import Start, check_optimizer
from sklearnish.estimators._fitting.ranks import train_elsewhere, trains_elsewhere
from sklearnish.estimators._fitting.resume import check_can_resume, check_dir
from sklearnish.estimators._fitting.rows import rows_to_fit, weighed
from sklearnish.estimators._fitting.sizes import (
    choose_batch_size,
    choose_max_epochs,
    choose_sizes,
)
from sklearnish.estimators._nested_params import NestedParams
from sklearnish.estimators._predicting.methods import AnswerMixin
from sklearnish.training import (
    ALONE,
    Net,
    World,
    check_callbacks,
    check_shape,
    launched,
    quiet,
)

Array = npt.NDArray[Any]


@parameterized
class TorchEstimator(
    CallbackHost,
    NestedParams,
    AnswerMixin,
    _parameters.FitParameters,
    _parameters.ValidationParameters,
    _parameters.LoadingParameters,
    _parameters.DescentParameters,
    _parameters.NetworkParameters,  # its parameters are the first, as in dataclasses
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Base of the estimators that train a module; not for direct use.

    A subclass says how targets become what the loss takes, and how outputs become predictions.

    Attributes
    ----------
    module_ : nn.Module
        The trained module, in eval mode.
    net_ : skorch.NeuralNet
        The skorch net that trained it, with optimizer and history.
    history_ : list of dict
        A record per epoch: epoch, train_loss, valid_loss, dur, lr, wait, and scores.
    pipeline_report_ : PipelineReport
        Where the time of the last fit went, for reading and training on batches.
    n_iter_ : int
        Number of epochs.
    loss_ : float
        Training loss of the epoch whose weights were kept.
    batch_size_ : int
        Rows per step in the last call of `fit` or `partial_fit`.
    max_epochs_ : int
        Passes over the rows that the last `fit` planned.
    n_inputs_ : int
        Number of values in a row.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Feature names, if all names are strings.
    """

    _net_class: ClassVar[type[Net]] = Net
    _any_columns: ClassVar[bool] = False
    """Whether X may have columns that are no numbers, and gaps."""
    _min_batch_size: ClassVar[int] = 2
    """Rows of the last batch of an epoch: normalisation needs two."""

    # What a subclass answers

    @abstractmethod
    def _check_y(self, y: Array, *, reset: bool) -> Array:
        """Check and encode targets; with `reset`, learn the classes or the number of targets."""

    @abstractmethod
    def _to_loss(self, y: Array) -> Array:
        """Turn encoded targets into what the criterion takes."""

    @abstractmethod
    def _from_codes(self, y: Array) -> Array:
        """Turn encoded targets into those of the user, for scorers."""

    @abstractmethod
    def _n_outputs(self) -> int:
        """Say how many outputs the module is asked for."""

    @abstractmethod
    def _choose_criterion(self, outputs: Tensor) -> Any:
        """Return the criterion, class or instance, for a module with such outputs."""

    @abstractmethod
    def _width(self, outputs: Tensor) -> int:
        """Say how many outputs the criterion needs."""

    @abstractmethod
    def _describe_outputs(self) -> str:
        """Say what the outputs must be, for an error."""

    def _check_outputs(self, module: nn.Module, rows: Batch, outputs: Tensor) -> None:
        """Refuse outputs for some rows whose shape is not that which the criterion needs."""
        what = self._describe_outputs()
        check_shape(module, outputs, len(rows), self._width(outputs), what)

    def _rows(self, X: Any, *, reset: bool) -> Dataset:
        """Make a Dataset of X, and remember its columns, or compare them with those of fit."""
        return to_dataset(self, X, reset=reset)

    def _prepared(
        self, data: Dataset, valid: Dataset | None, *, fresh: bool
    ) -> tuple[Dataset, Dataset | None]:
        """Make what the module takes of training and validation rows; learn how, if `fresh`."""
        return data, valid

    def _inputs(self, data: Dataset) -> Dataset:
        """Make what the module takes of rows to predict for."""
        return data

    def _module_asked(self) -> tuple[Any, dict[str, Any] | None]:
        """Return the module, as the user or the estimator asks for it, and its arguments."""
        return self.module, self.module_params

    def _around(self, module: nn.Module) -> nn.Module:
        """Put what rows pass through before a module, or after it, around it."""
        return module

    def _adjust(self, module: nn.Module) -> None:
        """Set what a fit that goes on may change in what is around a module."""

    def _criterion_params(self, criterion: Any) -> dict[str, Any]:
        """Return the arguments of the criterion's class."""
        return dict(self.criterion_params or {})

    def _lr_factors(self) -> dict[str, float]:
        """Return by what the learning rate of parts of the module is multiplied."""
        return dict(self.lr_factors or {})

    def _optimizer_params(self) -> dict[str, Any]:
        """Return the arguments of the optimizer."""
        return dict(self.optimizer_params or {})

    def _augmentation(self, data: Dataset) -> Any:
        """Return the random functions of training; refuse rows that they cannot take."""
        return self.augment

    def _sizes(self, n_rows: int) -> tuple[int, int]:
        """Return rows per step, and epochs."""
        epochs = choose_max_epochs(self.max_epochs, n_rows)
        return choose_batch_size(self.batch_size, n_rows), epochs

    def _holds_out(self) -> bool:
        """Say whether rows are held out where the user passes none to validate on."""
        return self.early_stopping

    def _bar(self) -> bool:
        """Say whether a progress bar is shown."""
        return bool(self.verbose)

    def _initialize(self, module: nn.Module) -> None:
        """Give a new module other weights than its own first ones."""

    def _train(
        self,
        data: Dataset,
        valid: Dataset | None,
        start: Start,
        task: FitTask,
        epochs: int | None = None,
        world: World = ALONE,
    ) -> None:
        """Train the net in this process, together with those of a world."""
        train(self, data, valid, start, task, epochs, world)

    def _note(self) -> None:
        """Note how many epochs there were, and what loss they led to."""
        self.n_iter_ = len(self.history_)
        self.loss_ = self.history_[self.net_.best_epoch_ - 1]["train_loss"]

    def _stopping(self, net: Net, n_rows: int, *, validated: bool) -> dict[str, Any]:
        """Return a rule of the estimator's own for when to stop, and what it watches."""
        return {}

    def _patience(self) -> int:
        """Return after how many epochs without improvement to stop."""
        return int(self.patience)

    def _first_outputs(self, y: Array, weight: Array | None) -> Array | None:
        """Return the outputs that are best before anything is known of X; None for zeros."""
        return None

    def _learn_from_validation(self, valid: Dataset) -> None:
        """Learn from validation rows once the module is trained."""

    def _learn_target(self, y: Array, weight: Array | None) -> None:
        """Learn from the training rows' encoded targets alone."""

    def _weigh_rows(self, y: Array, weight: Array | None, *, training: bool) -> Array | None:
        """Add what the classes weigh to the rows' weights; learn it from those of training."""
        return weight

    def _strata(self, y: Array) -> Array | None:
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
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Train the module.

        Parameters
        ----------
        X : Dataset, array-like, sparse matrix, DataFrame, Tensor, torch Dataset or dict of arrays
            Rows to learn from.
        y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
            Targets. None takes those of the Dataset.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows in the loss; rows of weight 0 are skipped, but their targets are
            checked. None takes those of the Dataset, if it has any.
        X_val : like X, default=None
            Rows on which every epoch is evaluated; early stopping uses them instead of a held-out
            fraction. A Pipeline transforms them with ``transform_input=["X_val"]``.
        y_val : like y, default=None
            Targets of those rows.
        sample_weight_val : like sample_weight, default=None
            Weights of those rows.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If parameters or data cannot be used; raised before training if possible.
        MemoryError, RuntimeError or torch.OutOfMemoryError
            If memory runs out for a batch; the message names a `batch_size` that fits.
        FloatingPointError
            If the loss becomes NaN or infinite; the message names step, epoch and learning rate.
        KeyboardInterrupt
            On Ctrl-C; the estimator then holds the last complete epoch, if there is one.
        """
        task = FitTask(self, X, y, sample_weight)
        with draft(self) as new, quiet(self._world()):
            task.run(new._fit, X, y, sample_weight, (X_val, y_val, sample_weight_val))
        return self

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, held: tuple[Any, Any, Any], task: FitTask
    ) -> None:
        """Check, and train."""
        world = self._world()
        if not world.is_first:
            task.mute()
        X_val, y_val, sample_weight_val = held
        resume = self.warm_start and hasattr(self, "net_")
        check_dir(self.checkpoint_dir)
        check_can_resume(self)
        self._check_params(fresh=not resume)
        check_validation(self, X_val, y_val, sample_weight_val)
        data = rows_to_fit(self, X, y, sample_weight, reset=not resume)
        if not resume:
            self._draw_seed(world)
        valid = None
        if X_val is not None:
            valid = rows_to_fit(self, X_val, y_val, sample_weight_val, reset=False)
        elif self._holds_out():
            rows, rest = rows_held_out(self, data)
            data, valid = data[rows], data[rest]
        data, _ = weighed(self, data, training=True)
        if not resume:
            self._learn_target(targets(data), data.weight)
        data, valid = self._prepared(data, valid, fresh=not resume)
        start: Start = "module" if resume else "new"
        task.begin(choose_sizes(self, len(data), None))
        if world is ALONE and trains_elsewhere(self):
            train_elsewhere(self, data, valid, start, task)
        else:
            self._train(data, valid, start, task, world=world)

    def _world(self) -> World:
        """Return the processes that train together where each of them runs the program."""
        return launched(self.device, self.worker_timeout)

    def _draw_seed(self, world: World) -> None:
        """Draw the seed of a fit, the same in all processes."""
        drawn = check_random_state(self.random_state).randint(2**31 - 1)
        self._seed = int(world.same(drawn))

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, announced: Any = None) -> Any:
        """Train for one epoch more; the first call sets everything up."""
        task = FitTask(self, X, y, sample_weight)
        with draft(self) as new, quiet(self._world()):
            new._announced = announced
            try:
                task.run(new._go_on, X, y, sample_weight)
            finally:
                del new._announced
        return self

    def _go_on(self, X: Any, y: Any, sample_weight: Any, task: FitTask) -> None:
        """Check, and train for one epoch."""
        first, world = not hasattr(self, "net_"), self._world()
        if not world.is_first:
            task.mute()
        self._check_params(fresh=first)
        data = rows_to_fit(self, X, y, sample_weight, reset=first)
        data, _ = weighed(self, data, training=True)
        if first:
            self._draw_seed(world)
            self._learn_target(targets(data), data.weight)
        data, _ = self._prepared(data, None, fresh=first)
        task.begin(1)
        self._train(data, None, "new" if first else "net", task, epochs=1, world=world)

    def _check_params(self, *, fresh: bool) -> None:
        """Check parameters before anything is changed; what is fitted anew leaves no old net."""
        self._validate_params()
        self._left_out: tuple[tuple[str, ...], int] = (), 0
        check_optimizer(self.optimizer)
        check_callbacks(self.callbacks)
        resolve_device(self.device)
        if fresh:
            self.__dict__.pop("net_", None)

    def _pipeline(self) -> dict[str, Any]:
        """Options of a Loader that predict shares."""
        return {
            "num_workers": self.num_workers,
            "pin_memory": self.pin_memory,
            "shuffle_memory": self.shuffle_memory,
            "timeout": self.worker_timeout,
        }

    @property
    def module_(self) -> nn.Module:
        """The trained module."""
        if "net_" not in self.__dict__:
            raise AttributeError(f"This {type(self).__name__} has no module_ before fit.")
        return self.net_.module_

    def __sklearn_is_fitted__(self) -> bool:
        return "net_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = False
        return tags
