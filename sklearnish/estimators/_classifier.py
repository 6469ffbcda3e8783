"""TorchClassifier: labels in, labels and probabilities out."""

from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from torch import Tensor, nn

from sklearnish.estimators._base import Array, TorchEstimator
from sklearnish.estimators._constructor import parameter, parameterized
from sklearnish.estimators._fitting import labels
from sklearnish.estimators._fitting.module import check_classification_loss
from sklearnish.estimators._predicting.scores import accuracy
from sklearnish.training import ClassifierNet

_ONE_LOGIT = (nn.BCEWithLogitsLoss, nn.BCELoss)


@parameterized
class TorchClassifier(ClassifierMixin, TorchEstimator):
    """Classifier that trains a PyTorch module batch by batch.

    X may be arrays, DataFrames, torch Datasets or Datasets of files that do not fit into memory.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels in ascending order, those of rows of weight 0 among them.
    multilabel_ : bool
        Whether targets are a 0/1 indicator of several labels.
    {attributes}

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

    class_weight: Any = parameter(
        default=None,
        kind='dict, "balanced" or None',
        allowed=[dict, StrOptions({"balanced"}), None],
        after="criterion_params",
        doc='Weights of the classes in the loss; "balanced" makes their sums equal.',
    )

    _net_class = ClassifierNet
    _fewest_classes: ClassVar[int] = 2

    # Targets

    def partial_fit(
        self, X: Any, y: Any = None, *, classes: Any = None, sample_weight: Any = None
    ) -> "TorchClassifier":
        """Train for one epoch on these rows, continuing from what was learned before.

        No rows are held out: `early_stopping` and its parameters are not used.

        Parameters
        ----------
        X : like X of fit
            Rows to learn from.
        y : array-like of shape (n_rows,) or (n_rows, n_labels), default=None
            Labels. None takes those of the Dataset.
        classes : array-like of shape (n_classes,), default=None
            All labels that will occur, needed in the first call only; None takes those of `y`.
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
        announced = None if classes is None else np.unique(np.asarray(classes))
        return self._partial_fit(X, y, sample_weight, announced)

    def _check_announced(self) -> None:
        """Refuse classes other than those of the first call."""
        announced = getattr(self, "_announced", None)
        if announced is not None and not np.array_equal(announced, self.classes_):
            raise ValueError(
                f"classes={announced} is not the same as in the first call to partial_fit, "
                f"{self.classes_}."
            )

    def _check_params(self, *, fresh: bool) -> None:
        check_classification_loss(self.criterion)
        super()._check_params(fresh=fresh)
        if not fresh:
            self._check_announced()

    def _check_y(self, y: Array, *, reset: bool) -> Array:
        y, multilabel, distinct = labels.check_labels(y)
        if reset:
            self._learn_classes(y, multilabel, distinct)
        labels.check_width(y, multilabel, len(self.classes_) if self.multilabel_ else None)
        return y if multilabel else labels.number_labels(y, self.classes_)

    def _learn_classes(self, y: Array, multilabel: bool, distinct: Array) -> None:
        """Set classes_."""
        announced = getattr(self, "_announced", None)
        if multilabel:
            labels.warn_of_one_hot(y)
            classes = np.arange(y.shape[1])
        else:
            classes = distinct if announced is None else announced
        if len(classes) < self._fewest_classes and not multilabel:
            cure = " Name all that will ever come: partial_fit(X, y, classes=[...])."
            raise ValueError(
                f"{type(self).__name__} needs at least 2 classes in y, got one class: "
                f"{classes.tolist()}.{cure * hasattr(self, '_announced')}"
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
            self._per_class = labels.weigh_classes(self.class_weight, self.classes_, y, rows)
        if training and self.sampler == "balanced":
            return weight
        weights: Array = rows * self._per_class[y]
        return weights

    def _first_outputs(self, y: Array, weight: Array | None) -> Array | None:
        shares = labels.class_shares(y, weight, len(self.classes_))
        if self.multilabel_ or self._n_outputs() == 1:
            odds = np.log(shares / (1 - shares))
            return odds if self.multilabel_ else odds[1:]
        return np.log(shares)

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
        kind = self.criterion if isinstance(self.criterion, type) else type(self.criterion)
        return 1 if binary and issubclass(kind, _ONE_LOGIT) else len(self.classes_)

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
            Logits; for two classes, one logit: the second class against the first.
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
            Share of rows whose labels are all correct.
        """
        X, y, weight = self._scored(X, y, sample_weight)
        y, multilabel, _ = labels.check_labels(y)
        labels.check_width(y, multilabel, len(self.classes_) if self.multilabel_ else None)
        labels.check_same_kind(y, self.classes_)
        return accuracy(y, self._answers("predict", X)[1], weight)

    def _answer_columns(self, method: str) -> list[str]:
        by_one = method == "decision_function" and len(self.classes_) <= 2
        if not self.multilabel_ and (method == "predict" or by_one):
            return ["prediction" if method == "predict" else "decision"]
        prefix = {"predict": "prediction", "predict_proba": "probability"}.get(method, "decision")
        return [f"{prefix}_{name}" for name in self.classes_]

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
        return self._result_of(outputs).numpy()

    _result = "probabilities"

    def _result_of(self, outputs: Tensor) -> Tensor:
        one_logit = self._width_fitted == 1
        return labels.probabilities(
            outputs, self._takes, multilabel=self.multilabel_, one_logit=one_logit
        )

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
