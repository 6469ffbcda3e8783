"""What classifier and regressor share: from X and y to a trained net, and back to outputs."""

import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight
from torch import Tensor, nn

from sklearnish.data import Dataset, Loader, PipelineReport
from sklearnish.data._bad_rows import find_bad_rows, name_rows
from sklearnish.estimators._answering import AnswerMixin
from sklearnish.estimators._building import (
    Known,
    build_module,
    build_net,
    n_inputs,
    scale_inputs,
)
from sklearnish.estimators._inputs import to_dataset
from sklearnish.estimators._isolated import train_in_child
from sklearnish.estimators._params import NestedParams, check_callbacks, check_dir, check_optimizer
from sklearnish.estimators._predicting import batch_rows
from sklearnish.estimators._resuming import check_can_resume, checkpoints_of
from sklearnish.estimators._rows import (
    array_of_targets,
    check_no_missing,
    check_some_rows,
    relative_weights,
    targets,
    with_labels,
)
from sklearnish.estimators._scoring import make_score
from sklearnish.estimators._split import hold_out
from sklearnish.estimators._validation import validation_rows
from sklearnish.training import (
    Checkpoints,
    EarlyStopping,
    Net,
    resolve_device,
    seeded,
    thread_count,
    weight_dtype,
)

Array = npt.NDArray[Any]
GetNet = Callable[[Dataset, torch.device, Known], Net]


class TorchEstimator(NestedParams, AnswerMixin, BaseEstimator, metaclass=ABCMeta):
    """Base of the estimators that train a module; not for direct use.

    A subclass says how targets become what the loss takes, and how outputs become answers.
    """

    _net_class: type[Net] = Net

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
        X_val : like X, default=None
            Rows on which every epoch is evaluated; for early stopping they take the place of a
            held-out fraction.
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
            If parameters or data cannot be used; before training where that can be known.
        MemoryError, RuntimeError or torch.OutOfMemoryError
            If a batch does not fit into memory; the message says which `batch_size` does.
        FloatingPointError
            If the loss turns NaN or infinite; the message names step, epoch and learning rate.
        KeyboardInterrupt
            On Ctrl-C; the estimator then holds the last complete epoch, if there is one.
        """
        resume = self.warm_start and hasattr(self, "net_")
        check_dir(self.checkpoint_dir)
        check_can_resume(self)
        self._check_params(fresh=not resume)
        if X_val is None and (y_val is not None or sample_weight_val is not None):
            raise ValueError("y_val and sample_weight_val need X_val, their rows; it is None.")
        data = self._view(X, y, sample_weight, reset=not resume)
        if not resume:
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        valid = None
        if X_val is not None:
            valid = self._view(X_val, y_val, sample_weight_val, reset=False)
        elif self.early_stopping:
            strata = self._strata(targets(data))
            rows, held = hold_out(len(data), self.validation_fraction, strata, self._seed)
            data, valid = data[rows], data[held]
        data, _ = self._weigh(data, training=True)
        if not resume:
            self._learn_target(targets(data), data.weight)
        get_net = self._warm_net if resume else self._new_net
        if self.isolate:
            train_in_child(self, data, valid, get_net.__name__)
            return self
        return self._train(data, valid, get_net)

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any) -> Any:
        """Train for one epoch more; the first call sets everything up."""
        first = not hasattr(self, "net_")
        self._check_params(fresh=first)
        data = self._view(X, y, sample_weight, reset=first)
        data, _ = self._weigh(data, training=True)
        if first:
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self._learn_target(targets(data), data.weight)
        else:
            data = data.with_dtype(weight_dtype(self.net_.precision))
        get_net = self._new_net if first else self._same_net
        return self._train(data, None, get_net, epochs=1)

    def _check_params(self, *, fresh: bool) -> None:
        """Check parameters before anything is changed; what is fitted anew leaves no old net."""
        self._validate_params()
        self._left_out: tuple[tuple[str, ...], int] = (), 0
        check_optimizer(self.optimizer)
        check_callbacks(self.callbacks)
        resolve_device(self.device)
        if fresh:
            self.__dict__.pop("net_", None)

    def _view(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Dataset:
        """Make a Dataset with encoded targets and weights; bad rows and those of no weight go."""
        dataset = to_dataset(self, X, reset=reset)
        check_some_rows(dataset)
        y = array_of_targets(dataset.target if y is None else y, self)
        check_consistent_length(dataset, y)
        weight = dataset.weight if sample_weight is None else sample_weight
        if weight is not None:
            weight = _check_sample_weight(
                weight, dataset, dtype=np.float64, ensure_non_negative=True
            )
            if not weight.all():
                kept = np.flatnonzero(weight)
                dataset, y, weight = dataset[kept], y[kept], weight[kept]
        dataset = dataset.with_dtype(weight_dtype(self.precision))
        if self.on_bad_rows == "skip" and len(bad := self._bad_rows(dataset)):
            kept = np.delete(np.arange(len(dataset)), bad)
            dataset, y = dataset[kept], y[kept]
            weight = None if weight is None else weight[kept]
        try:
            codes = self._check_y(y, reset=reset)
        except (TypeError, ValueError):
            check_no_missing(y, dataset)
            raise
        return dataset.with_target(codes).with_weight(weight)

    def _bad_rows(self, data: Dataset) -> Array:
        """Find rows that cannot be used, and remember which."""
        bad = find_bad_rows(data, **self._pipeline())
        if len(bad) == len(data):
            raise ValueError(
                f"All {len(data)} rows of {data.source.name} are damaged, NaN or infinite; "
                "on_bad_rows='raise' says how."
            )
        names, count = self._left_out
        self._left_out = (*names, *name_rows(data, bad)), count + len(bad)
        return bad

    def _weigh(self, data: Dataset, *, training: bool) -> tuple[Dataset, Array | None]:
        """Multiply in what the classes weigh; also return the user's weights of the rows left."""
        weight = self._weigh_rows(targets(data), data.weight, training=training)
        if weight is None:
            return data, None
        weight, kept = relative_weights(weight)
        data = data if len(kept) == len(data) else data[kept]
        return data.with_weight(weight), data.weight

    def _train(
        self, data: Dataset, valid: Dataset | None, get_net: GetNet, epochs: int | None = None
    ) -> Any:
        """Run the epochs; what they change in the process is put back."""
        open_ended, epochs = epochs is not None, epochs or self.max_epochs
        device = resolve_device(self.device)
        earlier = self.net_ if get_net != self._new_net else None
        past = 0 if earlier is None else len(earlier.history)
        checkpoints = checkpoints_of(self, data, valid, earlier, resumable=not open_ended)
        with (
            checkpoints,
            seeded(self._seed + past, device),
            thread_count(self.num_threads, in_memory=data.in_memory),
        ):
            net = get_net(data, device, checkpoints.known)
            if checkpoints.finished:
                report = checkpoints.restore_finished(net)
            else:
                with self._loader(data, net, epochs, checkpoints) as loader:
                    try:
                        self._run(
                            net, loader, data, valid, epochs, checkpoints, open_ended=open_ended
                        )
                    except KeyboardInterrupt:
                        if net.go_back():
                            self._finish(net, loader.report())
                        raise
                    finally:
                        net.kept_ = None
                report = loader.report()
                checkpoints.finish(net, report)
            self._finish(net, report)
        return self

    def _loader(self, data: Dataset, net: Net, epochs: int, checkpoints: Checkpoints) -> Loader:
        """Build what feeds the training rows that are left."""
        done = checkpoints.epochs
        return Loader(
            data.with_target(self._to_loss(targets(data))),
            batch_size=self.batch_size,
            epochs=epochs - done,
            first_epoch=len(net.history) + done,
            first_batch=checkpoints.batches,
            sampler=with_labels(
                self.sampler, lambda: data.with_target(self._from_codes(targets(data)))
            ),
            seed=self._seed,
            augment=self.augment,
            device=torch.device(net.device),
            **self._pipeline(),
        )

    def _pipeline(self) -> dict[str, Any]:
        """Options of a Loader that predict shares."""
        return {
            "num_workers": self.num_workers,
            "pin_memory": self.pin_memory,
            "shuffle_memory": self.shuffle_memory,
            "timeout": self.worker_timeout,
        }

    def _run(
        self,
        net: Net,
        loader: Loader,
        data: Dataset,
        valid: Dataset | None,
        epochs: int,
        checkpoints: Checkpoints,
        *,
        open_ended: bool,
    ) -> None:
        """Train, and evaluate what there is to evaluate."""
        options: dict[str, Any] = {}
        if valid is not None:
            valid, weight = self._weigh(valid, training=False)
            size = batch_rows(valid.row_nbytes, self.predict_batch_size)
            to_loss = valid.with_target(self._to_loss(targets(valid)))
            options["valid"] = validation_rows(to_loss, size, torch.device(net.device))
            if self.monitor != "loss":
                y = self._from_codes(targets(valid))
                options["score"] = make_score(self, self.monitor, y, weight)
        if self.early_stopping and valid is not None:
            options["stopping"] = EarlyStopping(
                patience=self.patience, tol=self.tol, greater_is_better=self.monitor != "loss"
            )
            options["monitor"] = f"valid_{self.monitor}"
        n_rows = len(data)
        net.train(
            loader,
            epochs=epochs,
            n_rows=n_rows,
            # A last single row joins the batch before it.
            steps_per_epoch=-(-(n_rows - (self.batch_size > 1)) // self.batch_size) or 1,
            wait=lambda: loader.progress().wait,
            dataset=data,
            open_ended=open_ended,
            checkpoints=checkpoints,
            **options,
        )

    def _finish(self, net: Net, report: PipelineReport) -> None:
        """Keep what was learned; no Loader and no open file."""
        self.net_ = net
        hidden = ("batches", "train_loss_best", "valid_loss_best")  # for skorch's callbacks
        self.history_ = [{k: v for k, v in e.items() if k not in hidden} for e in net.history]
        self.n_iter_ = len(self.history_)
        self.loss_ = self.history_[net.best_epoch_ - 1]["train_loss"]
        skipped, n_skipped = self._left_out
        self.pipeline_report_ = replace(report, skipped=skipped, n_skipped=n_skipped)
        if n_skipped:
            warnings.warn(self.pipeline_report_.left_out, UserWarning, stacklevel=4)

    # Nets

    def _new_net(self, data: Dataset, device: torch.device, known: Known) -> Net:
        """Build module and net."""
        self.n_inputs_ = n_inputs(data)
        module = build_module(self, data, device)
        weighted = data.weight is not None and self.sampler != "weighted"
        scale_inputs(module, data, self._seed, known, weighted=weighted)
        return build_net(self, module, data, device, known)

    def _warm_net(self, data: Dataset, device: torch.device, known: Known) -> Net:
        """Build a net around the fitted module: parameters may have been changed since."""
        history = self.net_.history
        module = self.net_.module_.to(device, weight_dtype(self.precision))
        net = build_net(self, module, data, device, known)
        net.history.extend(history)
        return net

    def _same_net(self, data: Dataset, device: torch.device, known: Known) -> Net:
        """Go on with the fitted net, its optimizer included."""
        return self.net_

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
