"""What fitted estimators do with new rows: answer, write the answers, compare them with targets."""

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sklearnish.data import Dataset, PipelineReport, as_dataset
from sklearnish.estimators._inputs import (
    checked_array,
    fully_checked,
    is_frame,
    is_lazy,
    to_dataset,
)
from sklearnish.estimators._predicting import (
    Answer,
    Array,
    Piece,
    answers,
    answers_of_array,
    answers_of_dataset,
    collect,
    explained,
    in_storage_order,
)
from sklearnish.estimators._rows import array_of_targets, check_some_rows
from sklearnish.estimators._writing import check_columns, check_order, check_path, write


class AnswerMixin:
    """Gives an estimator with a net the means to answer batch by batch.

    Estimators name the functions of outputs behind their methods, and the columns they fill.
    """

    _methods: ClassVar[dict[str, str]] = {"predict": "_predict_of"}

    def _answer_columns(self, method: str) -> list[str]:
        """Name the columns of a method's answers in a file."""
        raise NotImplementedError

    def _answer(self, method: str, X: Any) -> Answer:
        """Choose what turns outputs for X into answers."""
        return getattr(self, self._methods[method])

    def _predict(self, method: str, X: Any) -> Array:
        """Answer for all rows."""
        return collect(*self._answers(method, X))

    def _answers(self: Any, method: str, X: Any) -> tuple[int, Iterator[Piece]]:
        """Count the rows; answer for them batch by batch."""
        check_is_fitted(self)
        answer, wanted = self._answer(method, X), self.predict_batch_size
        rows = to_dataset(self, X, reset=False) if is_lazy(X) else None
        if rows is None:
            X = checked_array(self, X, reset=False)
            if not sparse.issparse(X):
                check = partial(fully_checked, self, X, reset=False)
                pieces = answers_of_array(self.net_, answer, X, wanted, check)
                return len(X), self._explained(pieces, X.shape[1:])
            rows = as_dataset(X)
        pieces = answers_of_dataset(self.net_, answer, rows, wanted, **self._pipeline())
        return len(rows), self._explained(pieces, rows.row_shape)

    def _explained(
        self: Any, pieces: Iterator[Piece], row_shape: tuple[int, ...]
    ) -> Iterator[Piece]:
        """Pass answers on; say so if rows are of another size than in fit."""
        with explained(row_shape, self.n_inputs_):
            yield from pieces

    def predict_to(
        self: Any, path: Any, X: Any, *, method: str = "predict", columns: Any = None
    ) -> PipelineReport:
        """Write answers to a file while they are computed, in the order of the rows of X.

        Neither the rows nor the answers need to fit into memory. The file appears under its
        name when it is whole; a file of that name is replaced then, and stays what it was if
        anything fails.

        A view in another order than that of its file is read in the order of the file, each
        block once, and its answers put in order through a scratch file of their size beside
        the result. Carried columns of such a view are read again for every row group written.

        Parameters
        ----------
        path : path-like
            The file to write. ``.parquet``: one column `prediction` for ``predict`` (several
            targets or labels: `prediction_0`, ...), `probability_<class>` for
            ``predict_proba``, `decision_<class>` for ``decision_function`` (of two classes:
            `decision`). ``.npy``: the array that the method returns; text in fixed width.
        X : like X of fit
            Rows. Columns of a DataFrame are found by name, and others ignored.
        method : str, default="predict"
            Name of the method whose answers are written.
        columns : sequence of str, default=None
            Columns of the scanned file or DataFrame to write before the answers, for example an
            identifier or the target, whether or not they are features. ``"row"``, where no
            column has that name, is the number of the row in the file (of a view: in the whole
            of it).

        Returns
        -------
        PipelineReport
            Where the time went.

        Raises
        ------
        ValueError
            If path, method or columns cannot be used; before anything is computed.
        TypeError
            If path is no name of a file, or columns no list of names; likewise.
        """
        check_is_fitted(self)
        check_order(path)
        if method not in self._methods:
            known = ", ".join(map(repr, self._methods))
            raise ValueError(f"method={method!r} is not one of {known}.")
        dataset = to_dataset(self, as_dataset(X) if is_frame(X) else X, reset=False)
        check_some_rows(dataset)
        names = self._answer_columns(method)
        columns = check_columns(columns, names, dataset.source)
        path = check_path(path, columns, X, dataset.source)
        loader, order = in_storage_order(
            self.net_, dataset, self.predict_batch_size, **self._pipeline()
        )
        with loader, explained(dataset.row_shape, self.n_inputs_):
            answer = self._answer(method, X)
            pieces = answers(self.net_, answer, loader, self.predict_batch_size, order)
            write(path, dataset, pieces, names, columns, self._text(method))
        return loader.report()

    def _text(self, method: str) -> np.dtype[Any] | None:
        """Type in which Python strings are written; None where there are none."""
        classes = getattr(self, "classes_", None)
        if method != "predict" or classes is None or classes.dtype != object:
            return None
        return np.asarray(classes.tolist()).dtype

    def _scored(self, X: Any, y: Any, weight: Any) -> tuple[Array, Array | None]:
        """Check targets, by default those of the Dataset, and weights of rows to be scored."""
        check_is_fitted(self)
        if y is None and is_lazy(X):
            X = X if isinstance(X, Dataset) else as_dataset(X)
            y = X.target
        y = array_of_targets(y, self)
        check_consistent_length(X, y, weight)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        return y, None if weight is None else _check_sample_weight(weight, y, dtype=np.float64)
