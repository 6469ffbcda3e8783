"""MLPClassifier: scikit-learn's, on Datasets and GPUs."""

from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if
from torch import Tensor

from sklearnish.estimators._base import Array
from sklearnish.estimators._classifier import TorchClassifier
from sklearnish.estimators._constructor import parameterized
from sklearnish.estimators._fitting.fit_task import FitTask
from sklearnish.estimators._mlp_mixin import MLPMixin, can_go_on
from sklearnish.modules import BinaryLogLoss, LogLoss


@parameterized
class MLPClassifier(MLPMixin, TorchClassifier):
    """Classifier with parameters, defaults, rules and attributes of scikit-learn's of that name.

    A script that imports it from here instead of ``sklearn.neural_network`` can pass Datasets of
    files that do not fit into memory, and trains on a GPU if there is one. It computes in float32
    or float64, as its rows are; rows of files are float32, unless ``ds.with_dtype`` says otherwise.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels in ascending order, those of rows of weight 0 among them.
    coefs_ : list of ndarray of shape (n_inputs, n_outputs)
        Weights of each layer.
    intercepts_ : list of ndarray of shape (n_outputs,)
        Biases of each layer.
    n_layers_ : int
        Number of layers, the inputs counted as one.
    n_outputs_ : int
        Number of outputs; 1 for two classes.
    out_activation_ : str
        What turns outputs into probabilities, "logistic" or "softmax".
    t_ : int
        Number of training rows seen, in all epochs.
    loss_curve_ : list of float
        Training loss of each epoch; not with "lbfgs", nor are the following.
    best_loss_ : float or None
        Least of them; None with early stopping.
    validation_scores_ : list of float or None
        Accuracy of each epoch on the validation rows; None without them.
    best_validation_score_ : float or None
        Best of them.
    multilabel_ : bool
        Whether targets are a 0/1 indicator of several labels.
    {attributes}

    Examples
    --------
    >>> import sklearnish as sn
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sn.MLPClassifier(max_iter=500, random_state=0).fit(X, y)
    >>> clf.score(X, y) > 0.95
    True
    """

    class_weight = None
    monitor = "accuracy"
    _fewest_classes = 1

    @available_if(can_go_on)
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, classes: Any = None
    ) -> "MLPClassifier":
        """Train for one epoch on these rows, continuing from what was learned before.

        Parameters
        ----------
        X : like X of fit
            Rows to learn from.
        y : array-like of shape (n_rows,) or (n_rows, n_labels), default=None
            Labels. None takes those of the Dataset.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.
        classes : array-like of shape (n_classes,), default=None
            All labels that will occur, needed in the first call only; None takes those of `y`.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a label is not among the classes, if `classes` differ from the first call's, or with
            early stopping.
        """
        super().partial_fit(X, y, classes=classes, sample_weight=sample_weight)
        return self

    def predict_log_proba(self, X: Any) -> Array:
        """Predict logarithms of probabilities.

        Parameters
        ----------
        X : like X of fit
            Rows.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            Logarithms of what `predict_proba` returns.
        """
        with np.errstate(divide="ignore"):  # of a probability of 0
            logarithms: Array = np.log(self.predict_proba(X))
        return logarithms

    @property
    def out_activation_(self) -> str:
        """What turns outputs into probabilities."""
        return "logistic" if self.multilabel_ or self.n_outputs_ == 1 else "softmax"

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, held: tuple[Any, Any, Any], task: FitTask
    ) -> None:
        if self.warm_start and hasattr(self, "net_") and not self.multilabel_:
            self._check_same_classes(getattr(X, "target", None) if y is None else y)
        super()._fit(X, y, sample_weight, held, task)

    def _check_same_classes(self, y: Any) -> None:
        """Refuse to go on with other classes than those of the last fit, also with fewer."""
        found = None if y is None else np.unique(np.asarray(y))
        if found is not None and set(found.tolist()) != set(self.classes_.tolist()):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {found}"
            )

    def _result_of(self, outputs: Tensor) -> Tensor:
        found = super()._result_of(outputs)
        return found[:, :1] if len(self.classes_) == 1 else found

    def _n_outputs(self) -> int:
        return 1 if len(self.classes_) == 2 and not self.multilabel_ else len(self.classes_)

    def _choose_criterion(self, outputs: Tensor) -> Any:
        self._width_fitted, self._takes = self._n_outputs(), None
        return BinaryLogLoss if self.multilabel_ or self._width_fitted == 1 else LogLoss
