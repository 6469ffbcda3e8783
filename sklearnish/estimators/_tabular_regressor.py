"""TabularRegressor: tables as they are in, numbers out."""

from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.metrics import d2_pinball_score
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sklearnish.data import Dataset
from sklearnish.estimators._base import Array
from sklearnish.estimators._constructor import parameter, parameterized
from sklearnish.estimators._fitting.drafts import snapshot
from sklearnish.estimators._fitting.labels import targets
from sklearnish.estimators._predicting.answers import collect
from sklearnish.estimators._predicting.members import Members
from sklearnish.estimators._regressor import TorchRegressor
from sklearnish.estimators._table_mixin import TableMixin
from sklearnish.modules import QuantileLoss


@parameterized
class TabularRegressor(TableMixin, TorchRegressor):
    """Regressor for tables with columns of every kind: numbers, text, dates, gaps.

    X may be DataFrames of pandas and polars, Arrow tables, arrays, and Datasets of Parquet and CSV
    files. A `preprocessing.TableEncoder`, fitted on the training rows, makes numbers of the
    columns. The network is an ensemble of small MLPs, see ``sklearnish.modules.TableModule``.
    Everything else is as in `TorchRegressor`, but that predictions stay between the least and the
    largest target of the training rows.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    encoder_ : TableEncoder
        What makes numbers of the columns.
    embedding_ : str
        How numbers enter, "periodic" or "none".
    target_range_ : ndarray of shape (2,) or (2, n_targets)
        Least and largest targets of the training rows.
    target_mean_ : ndarray of shape () or (n_targets,)
        Mean of the targets, which `predict` adds to the scaled outputs of the module.
    target_scale_ : ndarray of shape () or (n_targets,)
        Scale of the targets, by which `predict` multiplies the outputs of the module.
    {attributes}

    Examples
    --------
    >>> import pandas as pd
    >>> import sklearnish as sn
    >>> X = pd.DataFrame({"size": range(200), "town": ["Bonn", "Köln"] * 100})
    >>> price = X["size"] * 10.0 + (X["town"] == "Bonn") * 500
    >>> reg = sn.TabularRegressor(quality="fast", random_state=0).fit(X, price)
    >>> reg.score(X, price) > 0.95
    True
    """

    quantiles: Any = parameter(
        default=None,
        kind="sequence of float or None",
        allowed=[list, tuple, np.ndarray, Real, None],
        after="standardize_target",
        doc="""Shares between 0 and 1, ascending, such as ``(0.05, 0.5, 0.95)``: `predict` returns
        these quantiles of the target, which do not cross, instead of its mean. For one target.""",
    )

    on_bad_rows = "raise"
    augment = None

    # Quantiles

    def _check_params(self, *, fresh: bool) -> None:
        super()._check_params(fresh=fresh)
        if self.quantiles is None:
            return
        shares = np.asarray(self.quantiles, dtype=np.float64)
        good = shares.ndim == 1 and shares.size and ((shares > 0) & (shares < 1)).all()
        if not good or (np.diff(shares) <= 0).any():
            raise ValueError(
                f"quantiles={self.quantiles!r} must be a list of numbers between 0 and 1, "
                "ascending, such as [0.05, 0.5, 0.95]; or None to predict the mean."
            )
        if self.criterion is not None:
            raise ValueError("quantiles have a loss of their own; leave criterion=None.")

    def _check_y(self, y: Array, *, reset: bool) -> Array:
        y = super()._check_y(y, reset=reset)
        if self.quantiles is not None and y.ndim > 1:
            raise ValueError(f"quantiles are those of one target, but y has shape {y.shape}.")
        return y

    def _n_outputs(self) -> int:
        return super()._n_outputs() if self.quantiles is None else len(self.quantiles)

    def _choose_criterion(self, outputs: Tensor) -> Any:
        if self.quantiles is None:
            return super()._choose_criterion(outputs)
        return QuantileLoss(self.quantiles)

    def _answer_columns(self, method: str) -> list[str]:
        if self.quantiles is None:
            return super()._answer_columns(method)
        return [f"prediction_{share:g}" for share in self.quantiles]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute R2; of quantiles, D2: the share of the loss of constants that is avoided.

        Parameters
        ----------
        X : like X of fit
            Rows.
        y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
            Targets. None takes those of the Dataset.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        float
            R2, averaged over targets; or D2, averaged over quantiles.
        """
        if self.quantiles is None:
            return super().score(X, y, sample_weight)
        X, y, weight = self._scored(X, y, sample_weight)
        pairs = zip(self.predict(X).T, self.quantiles, strict=True)
        found = [d2_pinball_score(y, p, alpha=share, sample_weight=weight) for p, share in pairs]
        return float(np.mean(found))

    # Predictions

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict targets.

        Parameters
        ----------
        X : like X of fit
            Rows.
        return_std : bool, default=False
            Whether to return how far the members of the ensemble differ, too. This says how little
            is known of such rows, and nothing of the noise of the targets.

        Returns
        -------
        ndarray of shape (n_rows,), (n_rows, n_targets) or (n_rows, n_quantiles)
            Values, as of `TorchRegressor`. With `return_std`, a pair of these and of the standard
            deviations over members, of the same shape.

        Raises
        ------
        ValueError
            If `return_std` is asked of a module without members, or with `quantiles`.
        """
        if not return_std:
            return super().predict(X)
        check_is_fitted(self)
        if self.quantiles is not None:
            raise ValueError(
                "return_std=True goes with predicted means, and quantiles are set: how far they "
                "lie apart says how much targets vary. Call predict(X), or fit with quantiles=None."
            )
        if not hasattr(self.module_, "members"):
            raise ValueError(
                "return_std=True needs the members of an ensemble, and "
                f"{type(self.module_).__name__} has no method `members`. Leave module=None, or "
                "call predict(X)."
            )
        fitted = snapshot(self)
        rows: Dataset = fitted._inputs(fitted._rows(X, reset=False))
        means = fitted._pieces(rows, fitted.net_, fitted._answer("predict", X))
        spreads = fitted._pieces(rows, Members(fitted.net_), fitted._spread)
        return collect(len(rows), means), collect(len(rows), spreads)

    def _spread(self, outputs: Tensor) -> Array:
        """Return how far members differ, in units of the targets."""
        spread: Array = outputs.numpy().astype(np.float64).std(1)
        return spread.reshape(len(outputs), *self._y_shape) * self.target_scale_

    def _task(self) -> str:
        """Name what the outputs are."""
        return "values"

    def _prepared(
        self, data: Dataset, valid: Dataset | None, *, fresh: bool
    ) -> tuple[Dataset, Dataset | None]:
        seen = [targets(data)] if fresh else [targets(data), self.target_range_]
        self.target_range_: Array = np.stack(
            [np.min([y.min(0) for y in seen], 0), np.max([y.max(0) for y in seen], 0)]
        )
        return super()._prepared(data, valid, fresh=fresh)

    def _in_units(self, outputs: Tensor) -> Tensor:
        if self.quantiles is None:
            values = super()._in_units(outputs)
        else:  # after Chernozhukov et al. (2010): sorted, quantiles are closer to the true ones
            values = self._scaled_back(outputs.sort(1).values)
        least, most = torch.tensor(self.target_range_)
        return values.clamp(least, most)
