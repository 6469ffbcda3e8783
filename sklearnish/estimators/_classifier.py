"""TorchClassifier: labels in, labels and probabilities out."""

from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from torch import Tensor, nn

from sklearnish.data._reading import find_classes
from sklearnish.estimators._base import Array, TorchEstimator
from sklearnish.estimators._labels import (
    check_labels,
    check_same_kind,
    check_width,
    number_labels,
    probabilities,
    weigh_classes,
)
from sklearnish.estimators._params import check_classification_loss
from sklearnish.estimators._scoring import accuracy
from sklearnish.training import ClassifierNet

_ONE_LOGIT = (nn.BCEWithLogitsLoss, nn.BCELoss)


class TorchClassifier(ClassifierMixin, TorchEstimator):
    """Classifier that trains a PyTorch module batch by batch.

    X may be arrays, DataFrames, torch Datasets or Datasets of files that do not fit into memory.

    Parameters
    ----------
    module : nn.Module class or instance, or None, default=None
        What is trained. None is an MLP that standardises its inputs, sized to the data. A class
        is called with `module_params`, and with `in_features` (values per row) and
        `out_features` (classes, 2 if binary; labels) if its signature names them; an instance is
        copied, never changed. It returns logits; rows reach ``forward`` as one tensor, or
        as keyword arguments where they are a dict of tensors.
    module_params : dict, default=None
        Arguments for the class; ``set_params(module__hidden=64)`` sets one of them.
    criterion : loss class or instance, or callable, default=None
        The loss of outputs and targets. None is cross entropy; for labels in columns, or a module
        with one output for two classes, binary cross entropy.
    criterion_params : dict, default=None
        Arguments for the class; ``criterion__<name>`` sets one of them.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss; "balanced" makes their sums equal.
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
        Share of rows to hold out, the same of each class; not used where `fit` is given `X_val`.
    monitor : str, default="loss"
        "loss", or the name of a scorer of scikit-learn such as "roc_auc".
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
    classes_ : ndarray of shape (n_classes,)
        Labels in ascending order.
    multilabel_ : bool
        Whether targets are a 0/1 indicator of several labels.
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
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sn.TorchClassifier(max_epochs=100, batch_size=32, random_state=0).fit(X, y)
    >>> clf.score(X, y) > 0.95
    True
    >>> clf.predict_proba(X[:2]).shape
    (2, 3)
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

    def partial_fit(
        self, X: Any, y: Any = None, *, classes: Any = None, sample_weight: Any = None
    ) -> "TorchClassifier":
        """Train for one epoch on these rows, going on from what was learned before.

        No rows are held out: `early_stopping` and its parameters play no part.

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
            if hasattr(self, "net_"):
                self._check_announced()
            return self._partial_fit(X, y, sample_weight)
        finally:
            del self._announced

    def _check_announced(self) -> None:
        """Refuse classes other than those of the first call."""
        if self._announced is not None and not np.array_equal(self._announced, self.classes_):
            raise ValueError(
                f"classes={self._announced} is not the same as in the first call to partial_fit, "
                f"{self.classes_}."
            )

    def _check_params(self, *, fresh: bool) -> None:
        check_classification_loss(self.criterion)
        super()._check_params(fresh=fresh)

    def _check_y(self, y: Array, *, reset: bool) -> Array:
        y, multilabel = check_labels(y, self)
        if reset:
            self._learn_classes(y, multilabel)
        check_width(y, multilabel, len(self.classes_) if self.multilabel_ else None)
        return y if multilabel else number_labels(y, self.classes_)

    def _learn_classes(self, y: Array, multilabel: bool) -> None:
        """Set classes_."""
        announced = getattr(self, "_announced", None)
        if multilabel:
            classes = np.arange(y.shape[1])
        else:
            classes = find_classes(y, "y") if announced is None else announced
        if len(classes) < 2 and not multilabel:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 classes in y, got one class: "
                f"{classes.tolist()}."
            )
        self.multilabel_, self.classes_ = multilabel, classes

    def _weigh_rows(self, y: Array, weight: Array | None, *, training: bool) -> Array | None:
        if self.class_weight is None:
            return weight
        if self.multilabel_:
            raise ValueError(
                "class_weight is for one label per row; for labels in columns pass "
                "criterion_params={'pos_weight': ...}."
            )
        rows = np.ones(len(y)) if weight is None else weight
        if training:
            self._per_class = weigh_classes(self.class_weight, self.classes_, y, rows)
        if training and self.sampler == "balanced":
            return weight
        weights: Array = rows * self._per_class[y]
        return weights

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
        kind = chosen if isinstance(chosen, type) else type(chosen)
        self._takes = next(
            (loss for loss in (nn.BCELoss, nn.NLLLoss) if issubclass(kind, loss)), None
        )
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

    _methods: ClassVar[dict[str, str]] = {
        "predict": "_predict_of",
        "predict_proba": "_predict_proba_of",
        "decision_function": "_decision_function_of",
    }

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
        return self._predict("predict", X)

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
        return self._predict("predict_proba", X)

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
        return self._predict("decision_function", X)

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
        y, weight = self._scored(X, y, sample_weight)
        y, multilabel = check_labels(y, self)
        check_width(y, multilabel, len(self.classes_) if self.multilabel_ else None)
        check_same_kind(y, self.classes_)
        return accuracy(y, self._answers("predict", X)[1], weight)

    def _answer_columns(self, method: str) -> list[str]:
        if not self.multilabel_ and (method == "predict" or self._decides_by_one(method)):
            return ["prediction" if method == "predict" else "decision"]
        prefix = {"predict": "prediction", "predict_proba": "probability"}.get(method, "decision")
        return [f"{prefix}_{name}" for name in self.classes_]

    def _decides_by_one(self, method: str) -> bool:
        """Say whether one number decides between two classes."""
        return method == "decision_function" and len(self.classes_) == 2

    def _predict_of(self, outputs: Tensor) -> Array:
        """Decide for the likeliest."""
        if self.multilabel_:
            return (self._predict_proba_of(outputs) > 0.5).astype(np.int64)
        if self._width_fitted == 1:
            likeliest = self._predict_proba_of(outputs).argmax(1)
        else:
            likeliest = outputs.argmax(1).numpy()
        return self.classes_[likeliest]

    def _predict_proba_of(self, outputs: Tensor) -> Array:
        """Turn outputs into probabilities."""
        one_logit = self._width_fitted == 1
        p = probabilities(outputs, self._takes, multilabel=self.multilabel_, one_logit=one_logit)
        return p.numpy()

    def _decision_function_of(self, outputs: Tensor) -> Array:
        """Difference of the two logits, or all of many."""
        if self._takes is nn.BCELoss:
            outputs = torch.logit(outputs, eps=torch.finfo(outputs.dtype).eps)
        if self._width_fitted == 1 and not self.multilabel_:
            return outputs.reshape(-1).numpy()
        if len(self.classes_) == 2 and not self.multilabel_:
            return (outputs[:, 1] - outputs[:, 0]).numpy()
        return outputs.numpy()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
