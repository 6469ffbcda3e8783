"""TabularClassifier: tables as they are in, classes out."""

import torch
from torch import Tensor

from sklearnish.data import Dataset
from sklearnish.estimators._base import Array
from sklearnish.estimators._classifier import TorchClassifier
from sklearnish.estimators._constructor import parameter, parameterized
from sklearnish.estimators._fitting.calibration import temperature
from sklearnish.estimators._fitting.labels import targets
from sklearnish.estimators._fitting.rows import weighed
from sklearnish.estimators._predicting.answers import collect
from sklearnish.estimators._table_mixin import TableMixin


@parameterized
class TabularClassifier(TableMixin, TorchClassifier):
    """Classifier for tables with columns of every kind: numbers, text, dates, gaps.

    X may be DataFrames of pandas and polars, Arrow tables, arrays, and Datasets of Parquet and CSV
    files. A `preprocessing.TableEncoder`, fitted on the training rows, makes numbers of the
    columns. The network is an ensemble of small MLPs, see ``sklearnish.modules.TableModule``.
    Everything else is as in `TorchClassifier`.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    encoder_ : TableEncoder
        What makes numbers of the columns.
    embedding_ : str
        How numbers enter, "periodic" or "none".
    temperature_ : float
        By what logits are divided; 1 without `calibrate`.
    classes_ : ndarray of shape (n_classes,)
        Labels in ascending order, those of rows of weight 0 among them.
    multilabel_ : bool
        Whether targets are a 0/1 indicator of several labels.
    {attributes}

    Examples
    --------
    >>> import pandas as pd
    >>> import sklearnish as sn
    >>> X = pd.DataFrame({"age": range(200), "town": ["Bonn", "Köln", None, "Bonn"] * 50})
    >>> clf = sn.TabularClassifier(quality="fast", random_state=0).fit(X, X["age"] > 100)
    >>> clf.predict(pd.DataFrame({"age": [20, 180], "town": ["Köln", "Rome"]}))
    array([False,  True])
    """

    calibrate: bool = parameter(
        default=False,
        kind="bool",
        allowed=["boolean"],
        after="tol",
        doc="""Whether probabilities are made as sure as they are right on the validation rows, by
        one number that logits are divided by; those rows are needed for it.""",
    )

    on_bad_rows = "raise"
    augment = None

    def _check_params(self, *, fresh: bool) -> None:
        super()._check_params(fresh=fresh)
        if fresh:
            self.temperature_ = 1.0

    def _prepared(
        self, data: Dataset, valid: Dataset | None, *, fresh: bool
    ) -> tuple[Dataset, Dataset | None]:
        if fresh and self.calibrate and valid is None:
            raise ValueError(
                "calibrate=True needs rows held out: early_stopping=True, or X_val and y_val in "
                "fit. partial_fit has none, unless fit came first."
            )
        return super()._prepared(data, valid, fresh=fresh)

    def _learn_from_validation(self, valid: Dataset) -> None:
        if not self.calibrate:
            return
        if self._takes is not None:
            raise ValueError(f"calibrate=True needs logits; {self._takes.__name__} takes none.")
        _, weight = weighed(self, valid, training=False)
        pieces = self._pieces(valid, self.net_, Tensor.numpy)
        logits = torch.from_numpy(collect(len(valid), pieces))
        y = torch.from_numpy(self._to_loss(targets(valid)))
        self.temperature_ = temperature(logits, y, None if weight is None else torch.tensor(weight))

    def _result_of(self, outputs: Tensor) -> Tensor:
        return super()._result_of(outputs / self.temperature_)

    def _decision_function_of(self, outputs: Tensor) -> Array:
        return super()._decision_function_of(outputs / self.temperature_)

    def _task(self) -> str:
        """Name what the outputs are."""
        return "labels" if self.multilabel_ or self._n_outputs() == 1 else "classes"
