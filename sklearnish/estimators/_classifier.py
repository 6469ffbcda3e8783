"""TorchClassifier: labels in, labels and probabilities out."""

from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_y
from torch import Tensor, nn

from sklearnish.estimators._base import Array, TorchEstimator
from sklearnish.training import ClassifierNet, weight_dtype

_ONE_LOGIT = (nn.BCEWithLogitsLoss, nn.BCELoss)


class TorchClassifier(ClassifierMixin, TorchEstimator):
    """Classifier that trains a PyTorch module batch by batch.

    XXDOC
    """

    _net_class = ClassifierNet

    def __init__(
        self,
        module: Any = None,
        *,
        module_params: dict[str, Any] | None = None,
        criterion: Any = None,
        criterion_params: dict[str, Any] | None = None,
        class_weight: Any = None,
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
        self.class_weight = class_weight
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

    def partial_fit(
        self, X: Any, y: Any = None, *, classes: Any = None, sample_weight: Any = None
    ) -> "TorchClassifier":
        """Train for one epoch on these rows, going on from what was learned before.

        Parameters
        ----------
        X : like X of fit
            Rows to learn from.
        y : array-like of shape (n_rows,) or (n_rows, n_labels), default=None
            Labels. None takes those of the Dataset.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come, in the first call; None takes those of `y`.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a label is not among the classes, or `classes` differ from the first call's.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all labels at once, so partial_fit cannot use it; "
                "pass a dict, or sample_weight."
            )
        self._announced = None if classes is None else np.unique(np.asarray(classes))
        try:
            if self._announced is not None and hasattr(self, "net_"):
                self._check_announced()
            return self._partial_fit(X, y, sample_weight)  # type: ignore[no-any-return]
        finally:
            del self._announced

    def _check_announced(self) -> None:
        """Refuse classes other than those of the first call."""
        if not np.array_equal(self._announced, self.classes_):
            raise ValueError(
                f"classes={self._announced} is not the same as in the first call to partial_fit, "
                f"{self.classes_}."
            )

    def _check_y(self, y: Array, *, reset: bool) -> Array:
        assert_all_finite(y, input_name="y")
        kind = type_of_target(y, input_name="y", raise_unknown=True)
        check_classification_targets(y)
        if kind == "multiclass-multioutput":
            raise ValueError(
                "y has several columns of more than two labels; TorchClassifier takes one label "
                "per row, or a 0/1 indicator of shape (n_rows, n_labels). Fit one column at a "
                "time, for example with sklearn.multioutput.MultiOutputClassifier."
            )
        multilabel = kind == "multilabel-indicator"
        if not multilabel:
            y = _check_y(y, multi_output=False, estimator=self)
        if reset:
            self._learn_classes(y, multilabel)
        return self._codes_of_labels(y) if multilabel else self._codes(y)

    def _learn_classes(self, y: Array, multilabel: bool) -> None:
        """Set classes_."""
        self.multilabel_ = multilabel
        if multilabel:
            self.classes_ = np.arange(y.shape[1])
            return
        announced = getattr(self, "_announced", None)
        self.classes_ = np.unique(y) if announced is None else announced
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 classes in y, got one class: "
                f"{self.classes_[0]!r}."
            )

    def _codes_of_labels(self, y: Array) -> Array:
        """Check a 0/1 indicator."""
        if not self.multilabel_ or y.shape[1] != len(self.classes_):
            raise ValueError(
                f"y has shape {y.shape}, but fit saw {len(self.classes_)} "
                f"{'labels' if self.multilabel_ else 'classes and one label per row'}."
            )
        return y.astype(np.int64)

    def _codes(self, y: Array) -> Array:
        """Number the labels by their place in classes_."""
        if self.multilabel_:
            raise ValueError(f"y has one label per row, but fit saw {len(self.classes_)} labels.")
        codes = np.searchsorted(self.classes_, y)
        known = self.classes_[np.minimum(codes, len(self.classes_) - 1)] == y
        if not np.all(known):
            unseen = np.unique(y[~known])
            raise ValueError(
                f"y has labels {unseen[:5].tolist()} that are not among the classes "
                f"{self.classes_[:10].tolist()}."
            )
        return codes.astype(np.int64)

    def _weigh_rows(self, y: Array, weight: Array | None) -> Array | None:
        if self.class_weight is None or self.sampler == "balanced":
            return weight
        if self.multilabel_:
            raise ValueError(
                "class_weight is for one label per row; for multilabel targets pass "
                "criterion_params={'pos_weight': ...}."
            )
        rows = np.ones(len(y)) if weight is None else weight
        return rows * self._class_weights(y, rows)[y]

    def _class_weights(self, y: Array, rows: Array) -> Array:
        """Compute a weight per class."""
        n = len(self.classes_)
        if isinstance(self.class_weight, str):
            sums = np.bincount(y, rows, minlength=n)
            return sums.sum() / (n * np.where(sums > 0, sums, 1.0))
        labels = self.classes_.tolist()
        unknown = [label for label in self.class_weight if label not in labels]
        if unknown:
            raise ValueError(f"class_weight names {unknown}, which are not classes of y: {labels}.")
        return np.array([float(self.class_weight.get(label, 1.0)) for label in labels])

    def _strata(self, y: Array) -> Array | None:
        return None if self.multilabel_ else y

    def _to_loss(self, y: Array) -> Array:
        if not self.multilabel_ and self._width_fitted != 1:
            return y
        return y.astype(np.float64 if self.precision == "float64" else np.float32)

    def _from_codes(self, y: Array) -> Array:
        return y if self.multilabel_ else self.classes_[y]

    # Module and criterion

    def _n_outputs(self) -> int:
        binary = len(self.classes_) == 2 and not self.multilabel_
        return 1 if binary and self._wants_one_logit() else len(self.classes_)

    def _wants_one_logit(self) -> bool:
        """Say whether the user's criterion is one of a single probability."""
        if isinstance(self.criterion, type):
            return issubclass(self.criterion, _ONE_LOGIT)
        return isinstance(self.criterion, _ONE_LOGIT)

    def _choose_criterion(self, outputs: Tensor) -> Any:
        self._width_fitted = self._width(outputs)
        one_logit = self.multilabel_ or self._width_fitted == 1
        default = nn.BCEWithLogitsLoss if one_logit else nn.CrossEntropyLoss
        chosen = default if self.criterion is None else self.criterion
        self._loss_name = getattr(chosen, "__name__", type(chosen).__name__)
        return chosen

    def _width(self, outputs: Tensor) -> int:
        asked = self._n_outputs()
        single = outputs.ndim == 1 or outputs.shape[1:] == (1,)
        free = self.criterion is None or not isinstance(self.criterion, nn.CrossEntropyLoss | type)
        return 1 if asked == 2 and single and free and not self.multilabel_ else asked

    def _describe_outputs(self) -> str:
        n = len(self.classes_)
        return f"a logit for each of {n} {'labels' if self.multilabel_ else 'classes'}"

    # Answers

    def predict(self, X: Any) -> Array:
        """Predict labels.

        Parameters
        ----------
        X : like X of fit
            Rows.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, n_labels)
            Labels as in `classes_`; a 0/1 indicator if fitted on one.
        """
        return self._predict_of(self._outputs(X))

    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities.

        Parameters
        ----------
        X : like X of fit
            Rows.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            Probabilities of the classes, or of the labels, in the order of `classes_`.
        """
        return self._predict_proba_of(self._outputs(X))

    def decision_function(self, X: Any) -> Array:
        """Compute logits.

        Parameters
        ----------
        X : like X of fit
            Rows.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, n_classes)
            Logits; for two classes that of the second against the first.
        """
        return self._decision_function_of(self._outputs(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the accuracy.

        Parameters
        ----------
        X : like X of fit
            Rows.
        y : array-like of shape (n_rows,) or (n_rows, n_labels), default=None
            Labels. None takes those of the Dataset.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        float
            Share of rows whose labels are all right.
        """
        from sklearn.metrics import accuracy_score

        y = self._scored_y(X, y)
        return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))

    def _predict_of(self, outputs: Tensor) -> Array:
        """Decide for the likeliest."""
        if self.multilabel_:
            return (self._predict_proba_of(outputs) > 0.5).astype(np.int64)
        if self._width_fitted == 1:
            return self.classes_[(self._predict_proba_of(outputs)[:, 1] > 0.5).astype(np.intp)]
        return self.classes_[outputs.argmax(1).numpy()]

    def _predict_proba_of(self, outputs: Tensor) -> Array:
        """Turn outputs into what the criterion takes them for."""
        name = self._loss_name
        if self.multilabel_:
            return (outputs if name == "BCELoss" else torch.sigmoid(outputs)).numpy()
        if self._width_fitted == 1:
            p = outputs.reshape(-1)
            p = p if name == "BCELoss" else torch.sigmoid(p)
            return torch.stack([1 - p, p], 1).numpy()
        return (outputs.exp() if name == "NLLLoss" else outputs.softmax(1)).numpy()

    def _decision_function_of(self, outputs: Tensor) -> Array:
        """Difference of the two logits, or all of many."""
        if self.multilabel_:
            return outputs.numpy()
        if self._width_fitted == 1:
            return outputs.reshape(-1).numpy()
        if len(self.classes_) == 2:
            return (outputs[:, 1] - outputs[:, 0]).numpy()
        return outputs.numpy()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
