"""What fitted estimators do with new rows: predict, write predictions, compare with targets."""

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import _check_sample_weight, check_is_fitted
from torch import Tensor

from sklearnish.data import Dataset, PipelineReport, as_dataset, read_finite
from sklearnish.estimators._fitting.drafts import snapshot
from sklearnish.estimators._fitting.inputs import (
    check_some_rows,
    checked_array,
    fully_checked,
    is_eager_frame,
    is_lazy,
    small_array,
    to_dataset,
)
from sklearnish.estimators._fitting.labels import array_of_targets
from sklearnish.estimators._fitting.ranks import n_processes
from sklearnish.estimators._predicting import answers as by_batch
from sklearnish.estimators._predicting.answers import Answer, Array, Piece
from sklearnish.estimators._predicting.spread import answers_of_dataset, spread
from sklearnish.estimators._predicting.to_file import (
    check_columns,
    check_order,
    check_path,
    text_type,
    write,
)

_SMALL = 256
"""Rows of a DataFrame up to which it is made an array, rather than read column by column."""


def _read_whole(estimator: Any, X: Any) -> None:
    """Read rows that do not look finite, by which an error names row and column."""
    dataset = to_dataset(estimator, X, reset=False)
    with np.errstate(over="ignore"):  # the error says it better
        read_finite(dataset, np.arange(len(dataset)))


class AnswerMixin:
    """Gives an estimator with a net the means to predict batch by batch.

    Estimators name the functions of outputs behind their methods, and the columns they fill.
    """

    _methods: ClassVar[dict[str, str]] = {"predict": "_predict_of"}

    _looks_at_rows: ClassVar[bool] = False
    """Whether `_rows` and `_inputs` do more to rows to predict for than to make a Dataset."""

    _result: ClassVar[str] = ""
    """Name of what an exported model returns, "" for one that is not exported."""

    def _result_of(self, outputs: Tensor) -> Tensor:
        """Turn outputs into what an exported model returns, by torch alone."""
        raise NotImplementedError  # not asked of one without `_result`

    @abstractmethod
    def _answer_columns(self, method: str) -> list[str]:
        """Name the columns of a method's predictions in a file."""

    def _answer(self, method: str, X: Any) -> Answer:
        """Choose what turns outputs for X into predictions."""
        return getattr(self, self._methods[method])

    def _computing(self: Any, method: str) -> Any:
        """Choose what computes the outputs behind a method: a net, or what stands for one."""
        return self.net_

    def _predict(self, method: str, X: Any) -> Array:
        """Predict for all rows."""
        return by_batch.collect(*self._answers(method, X))

    def _answers(self: Any, method: str, X: Any) -> tuple[int, Iterator[Piece]]:
        """Count the rows; predict for them batch by batch."""
        check_is_fitted(self)
        self = snapshot(self)  # another thread may put a new model in place meanwhile
        net, answer = self._computing(method), self._answer(method, X)
        wanted, n = self.predict_batch_size, n_processes(self)
        small = None if self._looks_at_rows else small_array(self, X, _SMALL)
        if small is not None:
            check = partial(_read_whole, self, X)
            pieces = by_batch.answers_of_array(net, answer, small, wanted, check)
            return len(small), self._explained(pieces, small.shape[1:])
        if self._looks_at_rows or is_lazy(X):
            rows = self._inputs(self._rows(X, reset=False))
        else:
            X = checked_array(self, X, reset=False)
            if not sparse.issparse(X) and n == 1:
                check = partial(fully_checked, self, X, reset=False)
                pieces = by_batch.answers_of_array(net, answer, X, wanted, check)
                return len(X), self._explained(pieces, X.shape[1:])
            rows = as_dataset(X)
        pieces = answers_of_dataset(net, answer, rows, wanted, n, **self._pipeline())
        return len(rows), self._explained(pieces, rows.row_shape)

    def _explained(
        self: Any, pieces: Iterator[Piece], row_shape: tuple[int, ...]
    ) -> Iterator[Piece]:
        """Pass predictions on; say so if rows are of another size than in fit."""
        with by_batch.explained(row_shape, self.n_inputs_):
            yield from pieces

    def predict_to(
        self: Any, path: Any, X: Any, *, method: str = "predict", columns: Any = None
    ) -> PipelineReport:
        """Write predictions to a file while they are computed, in the order of the rows of X.

        Neither the rows nor the predictions need to fit into memory. The file appears under its
        name when it is complete; an older file of that name is replaced then, and stays unchanged
        if anything fails.

        A view in another order than its file is read in the order of the file, each block once.
        Its predictions are sorted with the help of a temporary file of their size, next to the
        result. Columns of such a view are read again for every row group written.

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
            Name of the method whose predictions are written.
        columns : sequence of str, default=None
            Columns of the scanned file or DataFrame to write before the predictions, for example an
            identifier or the target, features or not. ``"row"``, if no column has that name, is
            the number of the row in the file (also for a view).

        Returns
        -------
        PipelineReport
            Where the time went.

        Raises
        ------
        ValueError
            If path, method or columns cannot be used. This is checked before anything is computed.
        TypeError
            If path is not the name of a file, or columns is not a list of names.
        """
        check_is_fitted(self)
        self = snapshot(self)
        check_order(path)
        if method not in self._methods:
            known = ", ".join(map(repr, self._methods))
            raise ValueError(f"method={method!r} is not one of {known}.")
        dataset = self._rows(X, reset=False)
        check_some_rows(dataset)
        inputs = self._inputs(dataset)
        names = self._answer_columns(method)
        columns = check_columns(columns, names, dataset.source)
        path = check_path(path, columns, X, dataset.source)
        net = self._computing(method)
        wanted, options = self.predict_batch_size, self._pipeline()
        loader, order = by_batch.in_storage_order(net, inputs, wanted, **options)
        with loader, by_batch.explained(inputs.row_shape, self.n_inputs_):
            answer = self._answer(method, X)
            pieces = spread(net, answer, loader, wanted, order, n_processes(self), options)
            write(path, dataset, pieces, names, columns, text_type(self, method))
        return loader.report()

    def _scored(self, X: Any, y: Any, weight: Any) -> tuple[Any, Array, Array | None]:
        """Check targets, by default those of the Dataset, and weights of rows to be scored.

        A torch Dataset is made a Dataset once, so that the labels that it keeps are compared with
        those that come with the rows.
        """
        check_is_fitted(self)
        rows = X
        if is_lazy(X) and (y is None or not is_eager_frame(X)):
            rows = X if isinstance(X, Dataset) else as_dataset(X)
            y = rows.target if y is None else y
        y = array_of_targets(y, self, rows)
        check_consistent_length(rows, y, weight)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        weight = None if weight is None else _check_sample_weight(weight, y, dtype=np.float64)
        return rows if isinstance(X, torch.utils.data.Dataset) else X, y, weight
