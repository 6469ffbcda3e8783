"""Incremental: estimators of scikit-learn that learn in parts, over rows of any source."""

import copy
from dataclasses import replace
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.utils import Tags, get_tags

from sklearnish.estimators import _parameters
from sklearnish.estimators._constructor import parameter, parameterized
from sklearnish.estimators._fitting.drafts import draft
from sklearnish.estimators._fitting.incremental import check_learns_in_parts, learn, rows_of
from sklearnish.estimators._predicting.delegate import DelegateMixin


@parameterized
class Incremental(
    DelegateMixin,
    _parameters.ReadingParameters,
    MetaEstimatorMixin,
    BaseEstimator,
):
    """Train any estimator of scikit-learn that has ``partial_fit`` on rows of any source.

    The rows are read batch by batch, shuffled, as those of the other estimators, for as many
    epochs as are wanted, and each batch is given to ``partial_fit``. So SGDClassifier,
    SGDRegressor, MiniBatchKMeans, IncrementalPCA, naive Bayes and others learn from files that do
    not fit into memory, and predict for them. What the estimator can, this one can: ``predict``,
    ``predict_proba``, ``decision_function``, ``transform`` and others are there if it has them.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.
    classes_ : ndarray of shape (n_classes,)
        Labels in ascending order, of a classifier; those of rows of weight 0 are among them.
    batch_size_ : int
        Rows of a batch.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Feature names, if all names are strings.

    See Also
    --------
    preprocessing.Streamed : Transformers in one pass, and those that have no ``partial_fit``.

    Notes
    -----
    Batches are those of ``ds.batches(batch_size, shuffle=True, epochs=max_epochs,
    random_state=seed)`` with a `random_state` that is a number. They are arrays, of float32 if that
    holds what is stored, and else of float64; rows of a sparse matrix are made dense. The last
    batch of an epoch may be smaller, and one of fewer rows than ``n_components`` or ``n_clusters``
    joins the batch before it.

    What an epoch means is up to the estimator: those that descend a gradient get better with more,
    naive Bayes and IncrementalPCA are done after one.

    Examples
    --------
    >>> import pandas as pd
    >>> import sklearnish as sn
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> load_iris(as_frame=True).frame.to_parquet("iris.parquet", row_group_size=50)
    >>> ds = sn.scan_parquet("iris.parquet", target="target")
    >>> clf = sn.Incremental(GaussianNB(), random_state=0)
    >>> clf.fit(ds).score(ds) > 0.9
    True
    """

    estimator: Any = parameter(
        default=None,
        kind="estimator",
        allowed=[object],
        kw_only=False,
        doc="What is trained: an estimator with ``partial_fit``. It is cloned, never changed.",
    )
    max_epochs: int = parameter(default=1, kind="int", doc="Passes over the rows.")
    batch_size: int = parameter(
        default=1024,
        kind="int",
        doc="""Rows per call of ``partial_fit``, at least as many as the estimator has
        ``n_components`` or ``n_clusters``.""",
    )
    random_state: Any = parameter(
        default=None,
        kind="int, RandomState instance or None",
        allowed=["random_state"],
        doc="""Seed of the order of rows; the estimator has its own. None draws one from NumPy's
        global generator.""",
    )

    _called: ClassVar[dict[str, str]] = {}
    _any_columns: ClassVar[bool] = False
    on_bad_rows: ClassVar[str] = "raise"

    # Fit

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> Self:
        """Train a copy of the estimator.

        Parameters
        ----------
        X : Dataset, array-like, sparse matrix, DataFrame, Tensor or torch Dataset
            Rows to learn from.
        y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
            Targets, for an estimator that needs them. None takes those of the Dataset.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows, for an estimator that takes them; rows of weight 0 are skipped,
            but their targets are checked. None takes those of the Dataset, if it has any.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        TypeError
            If the estimator has no ``partial_fit``, or takes no weights and there are some.
        ValueError
            If parameters or data cannot be used.
        """
        self._check()
        with draft(self, "estimator_") as new:
            rows = rows_of(new, X, y, sample_weight, reset=True)
            fitted = clone(self.estimator)
            learn(new, fitted, rows, epochs=self.max_epochs, past=0)
            new.n_iter_, new.estimator_ = int(self.max_epochs), fitted
        return self

    def partial_fit(
        self, X: Any, y: Any = None, *, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Train for one epoch on these rows, continuing from what was learned before.

        Parameters
        ----------
        X : like X of fit
            Rows to learn from.
        y : like y of fit, default=None
            Targets.
        classes : array-like of shape (n_classes,), default=None
            All labels that will occur, for a classifier, needed in the first call only; None takes
            those of `y`.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a label is not among the classes.
        """
        self._check()
        with draft(self, "estimator_") as new:
            first = not new.__sklearn_is_fitted__()
            rows = rows_of(new, X, y, sample_weight, reset=first, classes=classes)
            fitted = clone(self.estimator) if first else copy.deepcopy(new.estimator_)
            past = 0 if first else new.n_iter_
            learn(new, fitted, rows, epochs=1, past=past)
            new.n_iter_, new.estimator_ = past + 1, fitted
        return self

    def _check(self) -> None:
        """Refuse what cannot be used."""
        check_learns_in_parts(self.estimator)
        self._validate_params()
        if isinstance(self.sampler, str) and self.sampler == "balanced" and not is_classifier(self):
            raise ValueError(
                f'sampler="balanced" draws classes alike, and {type(self.estimator).__name__} has '
                'none; use "shuffle", or "weighted" with sample_weight.'
            )

    def __sklearn_is_fitted__(self) -> bool:
        return "estimator_" in vars(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        if not hasattr(self.estimator, "__sklearn_tags__"):
            return tags
        inner = get_tags(self.estimator)
        inputs = replace(inner.input_tags, sparse=True, allow_nan=False)
        return replace(inner, input_tags=inputs)
