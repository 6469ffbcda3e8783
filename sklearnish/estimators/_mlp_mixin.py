"""What the estimators with scikit-learn's names share: parameters, rules and attributes."""

import math
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sklearnish.data import Dataset, resolve_device, warn
from sklearnish.estimators._base import Array
from sklearnish.estimators._constructor import parameterized
from sklearnish.estimators._fitting.convergence import convergence_of, of_epochs
from sklearnish.estimators._fitting.fit_task import FitTask
from sklearnish.estimators._fitting.lbfgs import train_by_lbfgs
from sklearnish.estimators._fitting.module import Start
from sklearnish.estimators._mlp_parameters import MLPParameters
from sklearnish.modules import PlainMLP
from sklearnish.training import ALONE, EpsilonFirstAdam, Net, VelocitySGD, World

_AUTO_BATCH = 200
"""Rows of a batch, as in scikit-learn."""


def _optimizer(estimator: Any) -> type[torch.optim.Optimizer]:
    """Class of the optimizer; "lbfgs" takes no steps of it."""
    return EpsilonFirstAdam if estimator.solver == "adam" else VelocitySGD


def _optimizer_params(estimator: Any) -> dict[str, Any]:
    """Arguments of the optimizer."""
    if estimator.solver == "adam":
        return {"betas": (estimator.beta_1, estimator.beta_2), "eps": estimator.epsilon}
    nesterov = estimator.nesterovs_momentum and estimator.momentum > 0
    return {"momentum": estimator.momentum, "nesterov": nesterov}


def _sampler(estimator: Any) -> str:
    """Order of the rows."""
    return "shuffle" if estimator.shuffle else "sequential"


def _precision(estimator: Any) -> str:
    """Numbers to compute in: those of the rows of the first fit."""
    return str(getattr(estimator, "_precision", "float32"))


@parameterized
class MLPMixin(MLPParameters):
    """Trains a plain MLP by scikit-learn's rules."""

    _called: ClassVar[dict[str, str]] = {
        "lr": "learning_rate_init",
        "max_epochs": "max_iter",
        "patience": "n_iter_no_change",
    }

    _min_batch_size: ClassVar[int] = 1  # nothing is normalised

    # What our other estimators have as parameters, and scikit-learn's have not

    module: Any = None
    module_params: Any = None
    criterion: Any = None
    criterion_params: Any = None
    lr_schedule: Any = None
    clip_grad_norm: Any = None
    average_weights: Any = None
    lr_factors: Any = None
    freeze: Any = None
    accumulate_steps: Any = 1
    compile: Any = False
    optimizer: Any = property(_optimizer)
    optimizer_params: Any = property(_optimizer_params)
    sampler: Any = property(_sampler)
    precision: Any = property(_precision)

    # Before a fit

    def _check_params(self: Any, *, fresh: bool) -> None:
        super()._check_params(fresh=fresh)  # type: ignore[misc]
        self._activation = str(self.activation)
        if not all(isinstance(width, Integral) and int(width) > 0 for width in self._widths()):
            raise ValueError(
                f"hidden_layer_sizes must be > 0, got {self.hidden_layer_sizes}: wanted whole "
                "numbers, one for each hidden layer, such as (100, 50)."
            )
        need_epochs = ("checkpoint_dir", "callbacks", "augment")
        given = [name for name in need_epochs if getattr(self, name) not in (None, [], ())]
        if self.solver == "lbfgs" and given:
            raise ValueError(
                f"solver='lbfgs' has no epochs, so {' and '.join(given)} cannot be used with it. "
                f"Use solver='adam' or 'sgd', or set {'=None and '.join(given)}=None."
            )
        if self.solver == "lbfgs" and self.n_processes != 1:
            raise ValueError(
                f"solver='lbfgs' trains in one process, but n_processes={self.n_processes!r}. Use "
                "solver='adam' or 'sgd', or set n_processes=1."
            )

    def _world(self: Any) -> World:
        """Return the processes that train together."""
        return ALONE if self.solver == "lbfgs" else super()._world()  # type: ignore[misc]

    def _widths(self) -> list[Any]:
        """List the widths of the hidden layers."""
        sizes = self.hidden_layer_sizes
        return list(sizes) if hasattr(sizes, "__iter__") else [sizes]

    def _rows(self: Any, X: Any, *, reset: bool) -> Dataset:
        rows: Dataset = super()._rows(X, reset=reset)  # type: ignore[misc]
        if reset:
            self._precision = self._precision_of(X, rows)
        return rows

    def _precision_of(self: Any, X: Any, rows: Dataset) -> str:
        """Say in which numbers to compute: those that are given."""
        if resolve_device(self.device).type == "mps":  # has no float64
            return "float32"
        if isinstance(X, Dataset | torch.utils.data.Dataset):
            return "float64" if rows.dtype == np.float64 else "float32"
        return "float32" if set(rows.dtypes.values()) == {"float32"} else "float64"

    def _holds_out(self: Any) -> bool:
        return bool(self.early_stopping) and self.solver != "lbfgs"

    def _sizes(self: Any, n_rows: int) -> tuple[int, int]:
        if self.solver == "lbfgs":
            return n_rows, self.max_iter
        wanted = _AUTO_BATCH if self.batch_size == "auto" else self.batch_size
        return min(wanted, n_rows), self.max_iter

    def _weigh_rows(self: Any, y: Array, weight: Array | None, *, training: bool) -> Array | None:
        weights: Array | None = super()._weigh_rows(  # type: ignore[misc]
            y, weight, training=training
        )
        if training:  # they are then scaled to at most 1, but the penalty is not
            self._heaviest = 1.0 if weights is None else float(weights.max())
        return weights

    def _prepared(
        self: Any, data: Dataset, valid: Dataset | None, *, fresh: bool
    ) -> tuple[Dataset, Dataset | None]:
        if valid is not None and self.solver == "lbfgs":
            raise ValueError(
                "X_val is evaluated after each epoch, and solver='lbfgs' has none. Leave it out, "
                "and call score(X_val, y_val) after fit; or use solver='adam'."
            )
        if valid is not None and len(valid) < 2 and self.early_stopping:
            raise ValueError(
                "The validation set is too small: it has one row. Increase 'validation_fraction' "
                "or the size of your dataset; or, if you passed X_val, pass more of its rows."
            )
        if self.batch_size != "auto" and self.batch_size > len(data) and self.solver != "lbfgs":
            warn(
                f"Got `batch_size` larger than sample size, {self.batch_size} for {len(data)} "
                "rows. It is going to be clipped.",
                UserWarning,
            )
        prepared: tuple[Dataset, Dataset | None] = super()._prepared(  # type: ignore[misc]
            data, valid, fresh=fresh
        )
        return prepared

    def _go_on(self: Any, X: Any, y: Any, sample_weight: Any, task: FitTask) -> None:
        if self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True, since it holds no rows out. "
                "Set early_stopping=False."
            )
        super()._go_on(X, y, sample_weight, task)  # type: ignore[misc]

    # The network

    def _module_asked(self: Any) -> tuple[Any, dict[str, Any]]:
        sizes = {"hidden": self._widths(), "activation": self._activation}
        return PlainMLP, {**sizes, "alpha": self._penalty()}

    def _adjust(self: Any, module: Any) -> None:
        module.alpha, module.activation = self._penalty(), self._activation

    def _penalty(self: Any) -> float:
        """Return alpha for weights of rows that are at most 1."""
        return float(self.alpha) / self._heaviest

    def _initialize(self: Any, module: nn.Module) -> None:
        """Draw weights as scikit-learn does: the same ones, if random_state is an integer.

        Their law is that of Glorot and Bengio, "Understanding the difficulty of training deep
        feedforward neural networks", 2010.
        """
        whole = isinstance(self.random_state, Integral)
        rng = np.random.RandomState(self.random_state if whole else self._seed)
        factor = 2.0 if self.activation == "logistic" else 6.0
        for layer in _layers(module):
            bound = np.sqrt(factor / sum(layer[0].shape))
            for tensor in layer:
                tensor.copy_(torch.from_numpy(rng.uniform(-bound, bound, tensor.shape)))

    # Training

    def _train(
        self: Any,
        data: Dataset,
        valid: Dataset | None,
        start: Start,
        task: FitTask,
        epochs: int | None = None,
        world: World = ALONE,
    ) -> None:
        new = start == "new"
        self._epochs_before = 0 if new else len(self.net_.history)
        self._rows_before: int = 0 if new else self.t_
        self._n_rows = len(data)
        try:
            if self.solver == "lbfgs":
                train_by_lbfgs(self, data, start, task)
            else:
                super()._train(data, valid, start, task, epochs, world)  # type: ignore[misc]
        except FloatingPointError as error:
            raise _not_finite() from error
        if self._diverged:
            warn(
                f"Training diverged in epoch {len(self.history_)}, and ended with the weights of "
                f"the best validation score, those after epoch {self.net_.best_epoch_}. Scale X, "
                "for example with StandardScaler, or set a smaller learning_rate_init.",
                ConvergenceWarning,
            )
        elif epochs is None and not self._converged:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({self.n_iter_}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
            )
        if not all(weight.isfinite().all() for weight in self.module_.parameters()):
            raise _not_finite()

    def _note(self: Any) -> None:
        """Count the epochs of this fit alone, and the rows of all."""
        last = self.net_.history[-1]
        epochs = 0 if "n_iter" in last else len(self.history_) - self._epochs_before
        self.n_iter_ = int(last.get("n_iter", epochs))
        self.t_ = self._rows_before + self._n_rows * epochs
        self.loss_ = float(last["train_loss"])
        self._no_improvement_count = int(last.get("waited", 0))
        self._converged = bool(last.get("stopped", True))  # "lbfgs" says itself if it did not
        self._diverged = math.isnan(last.get("valid_loss", 0.0))
        self._goes_by_score = self._holds_out()

    def _bar(self) -> bool:
        return False  # a line is printed for each epoch instead

    def _patience(self: Any) -> Any:
        return self.n_iter_no_change  # which may be infinite

    def _stopping(self: Any, net: Net, n_rows: int, *, validated: bool) -> dict[str, Any]:
        scored = self.early_stopping and validated
        monitor = f"valid_{self.monitor}" if scored else "train_loss"
        return {"stopping": convergence_of(self, net, n_rows, monitor), "monitor": monitor}

    # What scikit-learn's estimators have after a fit

    @property
    def coefs_(self: Any) -> list[Array]:
        """Weights of each layer, of shape (n_inputs, n_outputs)."""
        return [weight.cpu().numpy() for weight, _ in _layers(self.module_)]

    @property
    def intercepts_(self: Any) -> list[Array]:
        """Biases of each layer, of shape (n_outputs,)."""
        return [bias.cpu().numpy() for _, bias in _layers(self.module_)]

    @property
    def n_layers_(self: Any) -> int:
        """Number of layers, the inputs counted as one."""
        return len(self.module_.widths)

    @property
    def n_outputs_(self: Any) -> int:
        """Number of outputs."""
        return int(self.module_.widths[-1])

    @property
    def loss_curve_(self: Any) -> list[float]:
        """Training loss of each epoch."""
        return self._of_epochs("train_loss")

    @property
    def best_loss_(self: Any) -> float | None:
        """Least training loss; None with early stopping."""
        losses = self.loss_curve_
        return None if self._goes_by_score else min(losses)

    @property
    def validation_scores_(self: Any) -> list[float] | None:
        """Score of each epoch on the validation rows; None if there were none."""
        return self._of_epochs(f"valid_{self.monitor}") or None

    @property
    def best_validation_score_(self: Any) -> float | None:
        """Best of the scores; None if there were no validation rows."""
        scores = self.validation_scores_
        return None if scores is None else float(np.fmax.reduce(scores))

    def _of_epochs(self: Any, name: str) -> list[float]:
        """List what was recorded of each epoch."""
        fitted = self.__sklearn_is_fitted__()
        if not (epochs := of_epochs(self.history_) if fitted else []):
            why = "after solver='lbfgs'" if fitted else "before fit"
            raise AttributeError(f"This {type(self).__name__} has no records of epochs {why}.")
        return [epoch[name] for epoch in epochs if name in epoch]


def _layers(module: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return weights and biases of each layer, without gradients."""
    layers: list[tuple[torch.Tensor, torch.Tensor]] = module.layers(module.packed.detach())
    return layers


def can_go_on(estimator: Any) -> bool:
    """Say whether an estimator has partial_fit."""
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is for solver='adam' and 'sgd': 'lbfgs' computes over all rows at once."
        )
    return True


def _not_finite() -> ValueError:
    """Make the error for a fit that diverged, in scikit-learn's words."""
    return ValueError(
        "Solver produced non-finite parameter weights. The input data may contain large values and "
        "need to be preprocessed: scale X, for example with StandardScaler, and the targets of a "
        "regressor; or set a smaller learning_rate_init."
    )
