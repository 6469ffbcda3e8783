"""Any transformer of scikit-learn over rows that do not fit into memory."""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import _BaseComposition, available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted, has_fit_parameter

from sklearnish.data import Dataset, IntArray, shown
from sklearnish.preprocessing._streaming.chunk import as_taken, table_of
from sklearnish.preprocessing._streaming.learner import Fitted, by_fold

_MOST_FEATURES = 2**17
"""Features that rows may have which become dense: 256 of them are looked at, at least."""


def _has(method: str) -> Callable[["Streamed"], bool]:
    """Ask whether the transformer has a method."""
    return lambda self: hasattr(getattr(self, "transformer_", self.transformer), method)


class Streamed(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Fit any transformer of scikit-learn to files in one pass, and apply it where rows are read.

    Given a :class:`~sklearnish.Dataset`, `fit` reads it chunk by chunk, and `transform` returns a
    Dataset whose rows are transformed whenever they are read. Given anything else, it does what
    the transformer does. So a Pipeline of it and an estimator of this package works on files and in
    memory, and in a search it is fitted to the rows of each training fold alone.

    What is learned, and from which rows:

    - With ``partial_fit`` (StandardScaler, MinMaxScaler, MaxAbsScaler, IncrementalPCA,
      MiniBatchDictionaryLearning, ...): from all rows, in one call for each chunk. A transformer
      with a `batch_size` is given batches of that size.
    - OneHotEncoder and OrdinalEncoder: from all rows, with `min_frequency` and `max_categories`.
    - TargetEncoder: from all rows, and cross-fitted in `fit_transform`.
    - SimpleImputer with the mean, the most frequent value or a constant, and MissingIndicator: from
      all rows.
    - HashingVectorizer, FeatureHasher, FunctionTransformer, Normalizer, Binarizer and
      PolynomialFeatures learn nothing from rows.
    - Any other (QuantileTransformer, RobustScaler, KBinsDiscretizer, SplineTransformer, PCA,
      KNNImputer, SimpleImputer with the median, ...): from a uniform sample of `sample_rows` rows,
      which is all of them if there are no more.
    - A ColumnTransformer, FeatureUnion or Pipeline: each part as it would alone. A Pipeline takes a
      pass for each step that learns from rows, all else takes one.

    Parameters
    ----------
    transformer : transformer
        What to fit: a transformer of scikit-learn, or a Pipeline, ColumnTransformer or
        FeatureUnion of some.
    sample_rows : int, default=262_144
        Rows of the sample. They are those with the smallest hashes of their numbers in the file,
        so a view in another order has the same sample. With the default, the share of rows below a
        value is known to about 0.002.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer, that of scikit-learn.
    n_sampled_rows_ : int
        Rows in the sample that something was learned from; 0 if all that was learned is exact.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if they have names.

    See Also
    --------
    Dataset.map_frames : Apply a function of your own to the rows.

    Notes
    -----
    Rows are given to the transformer as pandas frames, in the order in which they are stored,
    whatever the order of the view; those of unnamed arrays as arrays. A transformer of text
    (HashingVectorizer) is given the column, where there is only one.

    Whole numbers with gaps are floats, as in memory. If the first pass finds that only some chunks
    have gaps, it begins anew.

    Weights, of the argument or of the Dataset, are used by transformers that take `sample_weight`.

    TargetEncoder: of its `cv` only the number of folds is used. The fold of a row is a hash of its
    number in the file, so that repeated rows are in one fold.

    Examples
    --------
    >>> import pandas as pd
    >>> import sklearnish as sn
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import OneHotEncoder, StandardScaler
    >>> frame = pd.DataFrame({"city": ["Bern", "Ulm", "Bern", "Graz"] * 50, "age": range(200)})
    >>> frame.assign(rent=frame["age"] % 7).to_parquet("flats.parquet", row_group_size=50)
    >>> ds = sn.scan_parquet("flats.parquet", target="rent")
    >>> encode = sn.preprocessing.Streamed(
    ...     make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["age"]))
    ... )
    >>> encode.fit(ds).transform(ds).shape
    (200, 4)
    >>> encode.get_feature_names_out().tolist()
    ['onehotencoder__city_Bern', 'onehotencoder__city_Graz', 'onehotencoder__city_Ulm',
     'standardscaler__age']
    >>> model = make_pipeline(encode, sn.TorchRegressor(max_epochs=2, random_state=0))
    >>> model.fit(ds, ds.target).predict(ds).shape
    (200,)
    """

    def __init__(self, transformer: Any, *, sample_rows: int = 262_144) -> None:
        self.transformer = transformer
        self.sample_rows = sample_rows

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit a copy of the transformer.

        Parameters
        ----------
        X : Dataset, or what the transformer takes, of shape (n_samples, n_features)
            The rows; of a Dataset one chunk at a time is in memory.
        y : array-like of shape (n_samples,), default=None
            The labels, for a transformer that needs them; default are those of the Dataset.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, for a transformer that takes them; default are those of the
            Dataset.

        Returns
        -------
        Streamed
            This transformer.

        Raises
        ------
        ValueError
            If a parameter is out of range, or the transformer refuses the rows.
        TypeError
            If `transformer` is no transformer, or takes no `sample_weight` that is given. (Those of
            a Dataset are ignored then. Of a Pipeline, ColumnTransformer or FeatureUnion over a
            Dataset, the parts that take weights use them.)
        """
        self._check_parameters()
        if isinstance(X, Dataset):
            self._learn(X, y, sample_weight)
        else:
            X = as_taken(self.transformer, X)
            self._start().fit(X, y, **self._weights(sample_weight))
        return self

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit, and transform the same rows, as for training.

        It is `fit` followed by `transform`, except where labels are learned from: a TargetEncoder
        encodes each row by the labels of other folds.

        Parameters
        ----------
        X : Dataset, or what the transformer takes, of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,), default=None
            The labels, as in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, as in `fit`.

        Returns
        -------
        Dataset, or what the transformer returns
            The transformed rows, as `transform` gives them.
        """
        self._check_parameters()
        if isinstance(X, Dataset):
            folds = self._learn(X, y, sample_weight).by_fold
            return X.map_frames(_ByFold(folds, self._types_of(X))) if folds else self.transform(X)
        if not hasattr(self.transformer, "fit_transform"):
            return self.fit(X, y, sample_weight).transform(X)
        X = as_taken(self.transformer, X)
        return self._start().fit_transform(X, y, **self._weights(sample_weight))

    def transform(self, X: Any) -> Any:
        """Transform rows.

        Parameters
        ----------
        X : Dataset, or what the transformer takes, of shape (n_samples, n_features)
            The rows. Of a Dataset, nothing but a few rows is read.

        Returns
        -------
        Dataset, or what the transformer returns
            Of a Dataset, a view whose rows are transformed when they are read, with target and
            weights as before. Its features have names if the transformer returns frames, as after
            ``set_output(transform="pandas")``. Sparse results become dense.

        Raises
        ------
        ValueError
            If rows of a Dataset would get more than 131,072 features of a sparse result.
        """
        check_is_fitted(self)
        if isinstance(X, Dataset):
            return X.map_frames(_Transform(self.transformer_, self._types_of(X)))
        return self.transformer_.transform(as_taken(self.transformer_, X))

    @available_if(_has("inverse_transform"))
    def inverse_transform(self, X: Any) -> Any:
        """Undo the transformation of rows in memory.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Transformed rows.

        Returns
        -------
        array-like of shape (n_samples, n_features)
            What the transformer returns.
        """
        check_is_fitted(self)
        return self.transformer_.inverse_transform(X)

    @available_if(_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """Name the features of the result.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features that are transformed; default are those of `fit`.

        Returns
        -------
        ndarray of str
            What the transformer says.
        """
        check_is_fitted(self)
        return np.asarray(self.transformer_.get_feature_names_out(input_features), dtype=object)

    def set_output(self, *, transform: Any = None) -> Self:
        """Choose what `transform` returns, as the transformer's own `set_output` does.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            Arrays or frames; None changes nothing. Of a Dataset, frames give names to the features.

        Returns
        -------
        Streamed
            This transformer.
        """
        self.transformer.set_output(transform=transform)
        if hasattr(self, "transformer_"):
            self.transformer_.set_output(transform=transform)
        return self

    @property
    def n_features_in_(self) -> int:
        """Number of features seen in fit."""
        check_is_fitted(self)
        return int(self.transformer_.n_features_in_)

    @property
    def feature_names_in_(self) -> npt.NDArray[Any]:
        """Names of the features seen in fit."""
        check_is_fitted(self)
        return np.asarray(self.transformer_.feature_names_in_, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        """Take what the transformer takes."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.transformer)
        tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
        tags.non_deterministic = inner.non_deterministic
        tags.transformer_tags = inner.transformer_tags
        return tags

    # Private

    def _check_parameters(self) -> None:
        """Refuse what is no transformer, and no number of rows."""
        if isinstance(self.transformer, type) or not hasattr(self.transformer, "transform"):
            raise TypeError(
                f"transformer must be a transformer of scikit-learn, such as StandardScaler(), got "
                f"{shown(self.transformer)}."
            )
        n = self.sample_rows
        if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
            raise ValueError(f"sample_rows must be an integer of at least 1, got {shown(n)}.")

    def _start(self) -> Any:
        """Begin with a copy that has learned nothing."""
        self.transformer_, self.n_sampled_rows_ = clone(self.transformer), 0
        self._types: dict[str, Any] = {}
        return self.transformer_

    def _types_of(self, X: Dataset) -> dict[str, Any] | None:
        """Say what to make of columns of whole numbers; None if columns have no names."""
        return self._types if hasattr(X, "columns") else None

    def _weights(self, weight: Any) -> dict[str, Any]:
        """Pass weights on to a transformer in memory."""
        self._check_weights(weight)
        return {} if weight is None else {"sample_weight": weight}

    def _check_weights(self, weight: Any) -> None:
        """Refuse weights that would not be used."""
        if weight is not None and not has_fit_parameter(self.transformer, "sample_weight"):
            raise TypeError(f"{type(self.transformer).__name__} takes no sample_weight.")

    def _learn(self, X: Dataset, y: Any, weight: Any) -> Fitted:
        """Fit to a Dataset."""
        # Importing what it learns for, such as ColumnTransformers, takes half a second.
        from sklearnish.preprocessing._streaming.passes import Rows, learned

        if len(X) == 0:
            raise ValueError(
                f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required: "
                f"the view of {X.source.name} has no rows."
            )
        if not isinstance(self.transformer, _BaseComposition):
            self._check_weights(weight)
        y = X.target if y is None else np.asarray(y)
        weight = X.weight if weight is None else np.asarray(weight)
        check_consistent_length(X, y, weight)
        if (np.diff(X.rows) < 0).any():  # what is learned does not depend on the order of a view
            order = np.argsort(X.rows, kind="stable")
            X = X[order]
            y, weight = (None if a is None else a[order] for a in (y, weight))
        self._types = {}
        rows = Rows(self.transformer, X, y, weight, self.sample_rows, self._types_of(X))
        fitted, self._types = learned(rows)
        self.transformer_, self.n_sampled_rows_ = fitted.transformer, fitted.n_sampled
        return fitted


class _Transform:
    """Transforms frames: a function of rows that draws no random numbers."""

    draws = False

    def __init__(self, transformer: Any, types: dict[str, Any] | None) -> None:
        self._transformer, self._types = transformer, types

    def __call__(self, frame: Any) -> Any:
        """Transform some rows."""
        X = self._transformer.transform(as_taken(self._transformer, table_of(frame, self._types)))
        n = X.shape[1] if hasattr(X, "shape") and len(X.shape) == 2 else 0
        if n > _MOST_FEATURES and sparse.issparse(X):
            raise ValueError(
                f"{type(self._transformer).__name__} gives {n:,} features in a sparse matrix, "
                f"which would become dense: {n * 4 / 2**20:,.1f} MB for each row. At most "
                f"{_MOST_FEATURES:,} are taken; choose fewer, as "
                "HashingVectorizer(n_features=2**12) does."
            )
        return X


class _ByFold:
    """Transforms frames as for training: each row by the transformer of its fold."""

    draws, takes_rows = False, True

    def __init__(self, transformers: Sequence[Any], types: dict[str, Any] | None) -> None:
        self._transforms = [_Transform(transformer, types) for transformer in transformers]

    def __call__(self, frame: Any, rows: IntArray) -> Any:
        """Transform some rows, whose numbers in the source are given, as ``takes_rows`` asks."""
        return by_fold(self._transforms, frame, rows)
