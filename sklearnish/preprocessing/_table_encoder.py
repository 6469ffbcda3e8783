"""Tables as they are to matrices of numbers."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from sklearnish.data import Dataset, is_no_array, read_frames, warn
from sklearnish.preprocessing._encoding.frames import (
    column_of,
    declared,
    frame_like,
    rows_of,
)
from sklearnish.preprocessing._encoding.learning import DROPPED, KINDS, learn
from sklearnish.preprocessing._encoding.outputs import Output, TableLayout, distinct, layout_of
from sklearnish.preprocessing._encoding.tallies import Column, Options
from sklearnish.preprocessing._encoding.text import MOST_FEATURES
from sklearnish.preprocessing._output import FrameOutputMixin

Matrix = npt.NDArray[np.float32]


class TableEncoder(  # type: ignore[call-arg]
    FrameOutputMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Encode a table of mixed columns as a matrix of numbers.

    What a column becomes is found in one pass over the rows, of a DataFrame or of files larger than
    memory; the order of the rows, and how they are read, change nothing:

    - Text with values that come again, bool, and columns of two values are categories.
    - Numbers, times and durations become normal scores: the normal quantile of their rank among the
      rows of `fit`. Whole numbers of few values are categories as well.
    - Dates, also those written as text (ISO 8601), become numbers and cycles: the time since 1970,
      the year; and sine and cosine of month, day, weekday and hour, as far as those differ. The
      time zone is that of `fit`.
    - Free text becomes counts of hashed words and groups of characters; lists of one length become
      their items.
    - Columns with one value, and ids, are left out, with a warning: text that is another in most
      rows, and whole numbers that are all different in a column named as ids are ("user_id").

    Missing values of numbers, dates and texts get a column of zeros and ones, if `fit` saw some;
    those of categories a level. A level that `fit` did not see is unknown, which is a level too.

    Parameters
    ----------
    kinds : dict of str to str, default=None
        What columns are, where that shall not be found: "category", "number", "date", "text", or
        "drop" to leave one out.
    max_categories : int, default=100
        Levels of a category: the most frequent ones. Others count as unknown.
    max_codes : int, default=20
        Whole numbers with at most so many distinct values are categories beside their scores; 0
        for none. If such columns have more than 100 values together, and more than a tenth of the
        number of rows, all are numbers alone.
    text_features : int, default=64
        Columns that a free text becomes, at most 16,384.
    one_hot : bool, default=True
        Whether each level is a column of zeros and ones. If not, a category is one column of codes:
        0 for unknown, levels from 1 on, and the last for missing.

    Attributes
    ----------
    kinds_ : dict of str to str
        What each column is.
    left_out_ : dict of str to str
        Columns that were left out, and why.
    columns_ : dict of str to object
        What was learned of each column.
    layout_ : TableLayout
        Which columns of :meth:`encode` are scores, plain inputs and codes.
    n_features_in_ : int
        Number of columns in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names.

    Notes
    -----
    Ranks are those of a sample of 262,144 rows, of all rows where they are no more; of text with
    more than 65,536 distinct values, the levels too. The sample is chosen by row number.

    References
    ----------
    B. L. van der Waerden (1952), "Order tests for the two-sample problem and their power".
    Y. Gorishniy, I. Rubachev, A. Babenko (2022), "On embeddings for numerical features in tabular
    deep learning".

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearnish.preprocessing import TableEncoder
    >>> X = pd.DataFrame(
    ...     {
    ...         "age": [31.5, 44.0, None, 50.1],
    ...         "job": ["cook", "pilot", "cook", None],
    ...         "country": ["NO", "NO", "NO", "NO"],
    ...     }
    ... )
    >>> encoder = TableEncoder(kinds={"country": "drop"}).fit(X)
    >>> encoder.transform(X).round(1)
       age  age:missing  job:unknown  job=cook  job=pilot  job:missing
    0 -1.0          0.0          0.0       1.0        0.0          0.0
    1  0.0          0.0          0.0       0.0        1.0          0.0
    2  0.0          1.0          0.0       1.0        0.0          0.0
    3  1.0          0.0          0.0       0.0        0.0          1.0
    """

    kinds_: dict[str, str]
    left_out_: dict[str, str]
    columns_: dict[str, Column]
    layout_: TableLayout
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]

    def __init__(
        self,
        *,
        kinds: Mapping[str, str] | None = None,
        max_categories: int = 100,
        max_codes: int = 20,
        text_features: int = 64,
        one_hot: bool = True,
    ) -> None:
        self.kinds = kinds
        self.max_categories = max_categories
        self.max_codes = max_codes
        self.text_features = text_features
        self.one_hot = one_hot

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find out what each column is, and learn levels and ranks.

        Parameters
        ----------
        X : DataFrame, Dataset or array-like of shape (n_rows, n_columns)
            Rows; of pandas, polars or Arrow, or files that were scanned.
        y : None
            Ignored.

        Returns
        -------
        TableEncoder
            This encoder.

        Raises
        ------
        ValueError
            If a parameter is out of range, no column is left, or a column mixes types.
        TypeError
            If nothing can be made of a column; the message names it.

        Warns
        -----
        UserWarning
            If columns are left out.
        """
        options = self._options()
        dataset = rows_of(X)
        self._check_kinds(dataset.columns)
        self._set_names(X, dataset)
        found = learn(dataset, declared(X) | dict(self.kinds or {}), options)
        self.left_out_ = {name: why for name, why in found.items() if isinstance(why, str)}
        self.columns_ = {n: column for n, column in found.items() if not isinstance(column, str)}
        self.kinds_ = {name: column.kind for name, column in self.columns_.items()}
        self._check_left_out(len(dataset))
        self.layout_ = layout_of(self._outputs())
        return self

    def encode(self, X: Any) -> Matrix:
        """Return the compact matrix, in memory: a category is one column of codes.

        Parameters
        ----------
        X : DataFrame, Dataset or array-like of shape (n_rows, n_columns)
            Rows with the columns of `fit`, in any order; others are ignored.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_encoded)
            What `layout_` describes.

        Raises
        ------
        ValueError
            If a column is missing, or holds values of another kind than in `fit`.
        """
        check_is_fitted(self)
        if isinstance(X, pa.Table):
            return np.ascontiguousarray(self._encoded(X).T)
        dataset = self._known(X)
        matrix = np.empty((len(dataset), len(self._outputs())), np.float32)
        for frame, positions in read_frames(dataset):
            matrix[positions] = self._encoded(frame).T
        return matrix

    encode.draws = False  # type: ignore[attr-defined]  # no random numbers, for map_frames

    def transform(self, X: Any) -> Any:
        """Encode rows.

        Parameters
        ----------
        X : DataFrame, Dataset or array-like of shape (n_rows, n_columns)
            Rows with the columns of `fit`, in any order; others are ignored.

        Returns
        -------
        DataFrame, Dataset or ndarray of float32, shape (n_rows, n_features_out)
            A DataFrame of the library of X. A Dataset is encoded whenever rows are read.

        Raises
        ------
        ValueError
            If a column is missing, or holds values of another kind than in `fit`.
        """
        check_is_fitted(self)
        if isinstance(X, Dataset):
            return self._known(X).map_frames(self._transformed, frame="arrow")
        matrix = self.encode(X)
        if self.one_hot:
            matrix = self._one_hot(matrix.T).T
        names = self.get_feature_names_out().tolist()
        return frame_like(X, matrix, names, self._wanted_output())

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Name the columns that come out.

        Parameters
        ----------
        input_features : None or sequence of str
            The names of the columns of `fit`, which are known.

        Returns
        -------
        ndarray of object, shape (n_features_out,)
            Such as "age", "age:missing", "job=cook", "when:month_sin". A name that comes again
            is numbered, as in "age:missing:2".

        Raises
        ------
        ValueError
            If `input_features` are other names.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        outputs = self._outputs()
        names = [n for o in outputs for n in (self.one_hot and o.labels) or (o.name,)]
        return np.array(distinct(names), dtype=object)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that columns of any kind, and gaps, are taken."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    # Private

    def _options(self) -> Options:
        """Check the parameters that are numbers."""
        names, least = ("max_categories", "max_codes", "text_features"), (1, 0, 1)
        if isinstance(self.text_features, Integral) and self.text_features > MOST_FEATURES:
            raise ValueError(
                f"text_features={self.text_features!r} must be at most {MOST_FEATURES:,}."
            )
        for name, lowest in zip(names, least, strict=True):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < lowest:
                raise ValueError(f"{name}={value!r} must be an integer of at least {lowest}.")
        return Options(*(int(getattr(self, name)) for name in names))

    def _check_kinds(self, names: tuple[str, ...]) -> None:
        """Refuse kinds of columns that are not there, and words that are none."""
        if not isinstance(self.kinds, Mapping | None):
            raise ValueError(f"kinds={self.kinds!r} must be a dict, such as {{'zip': 'category'}}.")
        for name, kind in (self.kinds or {}).items():
            if name not in names:
                raise ValueError(
                    f"kinds names {name!r}, which is no column of X: {', '.join(names[:20])}."
                )
            if kind not in KINDS:
                raise ValueError(
                    f"kinds={{{name!r}: {kind!r}}} must be one of {', '.join(map(repr, KINDS))}."
                )

    def _set_names(self, X: Any, dataset: Dataset) -> None:
        """Keep the names of the columns, unless they are ours."""
        self.n_features_in_ = len(dataset.columns)
        if is_no_array(X) and getattr(dataset.source, "columns_are_strings", True):
            self.feature_names_in_ = np.array(dataset.columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _check_left_out(self, n_rows: int) -> None:
        """Tell which columns are left out; refuse to leave out all."""
        reasons = [f"{name!r} ({why})" for name, why in self.left_out_.items() if why != DROPPED]
        if not self.columns_:
            listed = "; ".join(reasons) or "all are dropped"
            raise ValueError(
                f"TableEncoder finds no column to encode in {n_rows} samples: {listed}."
            )
        if reasons:
            warn(
                f"TableEncoder leaves out {'; '.join(reasons)}. To keep such a column, say what it "
                "is, as in kinds={'zip': 'category'}; kinds={'id': 'drop'} is silent.",
                UserWarning,
            )

    def _outputs(self) -> list[Output]:
        """List the columns of the compact matrix."""
        return [o for name, column in self.columns_.items() for o in column.outputs(name)]

    def _known(self, X: Any) -> Dataset:
        """Select the columns of fit."""
        dataset = rows_of(X)
        if not is_no_array(X) and len(dataset.columns) != self.n_features_in_:
            raise ValueError(
                f"X has {len(dataset.columns)} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        if absent := [name for name in self.columns_ if name not in dataset.columns]:
            raise ValueError(
                f"X has no column {absent[0]!r}, which was there in fit. It has "
                f"{', '.join(dataset.columns[:20])}."
            )
        return dataset.select(list(self.columns_))

    def _encoded(self, table: pa.Table) -> Matrix:
        """Encode some rows, column by column: shape (n_encoded, n_rows)."""
        columns = self.columns_.items()
        out = np.empty((sum(c.n_outputs for _, c in columns), table.num_rows), np.float32)
        start = 0
        for name, column in columns:
            stop = start + column.n_outputs
            column.encode(column_of(table, name, column.family, "in fit"), out[start:stop])
            start = stop
        return out

    def _transformed(self, table: pa.Table) -> pa.Table:
        """Transform some rows, as a function of frames."""
        rows = self._encoded(table)
        if self.one_hot:
            rows = self._one_hot(rows)
        return pa.table(list(map(pa.array, rows)), self.get_feature_names_out().tolist())

    _transformed.draws = False  # type: ignore[attr-defined]

    def _one_hot(self, rows: Matrix) -> Matrix:
        """Spread codes over columns of zeros and ones."""
        codes = dict(layout_of(self._outputs()).categories)
        parts = []
        for i, row in enumerate(rows):
            levels = np.arange(codes[i], dtype=np.float32)[:, None] if i in codes else None
            parts.append(row[None] if levels is None else (row == levels).astype(np.float32))
        return np.concatenate(parts)
