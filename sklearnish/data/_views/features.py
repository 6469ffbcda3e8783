"""A view whose features can be chosen and changed: by name, by type, by functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch

from sklearnish.data._arrow.frames import Kind
from sklearnish.data._functions.functions import BatchFunction, FrameFunction, RowFunction
from sklearnish.data._shown import shown
from sklearnish.data._views.columns import column_names, kind_of, listed_names
from sklearnish.data._views.labels import values_of
from sklearnish.data._views.mapped import mapped
from sklearnish.data._views.series import windows_of
from sklearnish.data._views.view import Values, View


@dataclass(frozen=True, eq=False, repr=False)
class FeatureView(View):
    """A view whose features can be chosen and changed; nothing is read before rows are."""

    @property
    def kinds(self) -> dict[str, str]:
        """What the features hold, by name.

        "number", "bool", "decimal", "text", "category" (text that is stored as a dictionary),
        "datetime", "date", "time", "duration", "list" or "other". Numbers, bools, decimals and
        lists of one length can be given to a module; functions of frames see all of them.
        """
        names = ("X",) if self._inputs.names is None else self._inputs.names
        return {name: kind_of(self.source.schema[name]) for name in names}

    def select(self, columns: Sequence[str]) -> Self:
        """Take feature columns by name, in this order.

        Parameters
        ----------
        columns : sequence of str
            Names of columns of the source.

        Returns
        -------
        Dataset
            A view with those features.

        Raises
        ------
        ValueError
            If a column does not exist; the message lists the columns.
        TypeError
            If `columns` is not a list.
        """
        names = column_names(self.source, listed_names(columns))
        return self if names == self._inputs.names else self._with_inputs(names=names)

    def column(self, name: str) -> Values:
        """Read the values of any column of the source, feature or not.

        Parameters
        ----------
        name : str
            Such as an id of a table, or "path" of images: the groups of a
            :class:`~sklearn.model_selection.GroupKFold`.

        Returns
        -------
        ndarray of shape (n_rows,)
            The values of the rows of the view, read-only.

        Raises
        ------
        ValueError
            If there is no such column; the message lists the columns.

        Examples
        --------
        >>> import pandas as pd
        >>> import sklearnish as sn
        >>> ds = sn.as_dataset(pd.DataFrame({"patient": ["a", "b"], "age": [31, 44]}))
        >>> ds.select(["age"]).column("patient")
        array(['a', 'b'], dtype=object)
        """
        column_names(self.source, [name])
        return values_of(self.source, name, self._rows)

    def with_dtype(self, dtype: torch.dtype) -> Self:
        """Set the floating point type in which numbers are delivered.

        Parameters
        ----------
        dtype : torch.dtype
            ``torch.float32`` or ``torch.float64``, for batches, for ``np.asarray(ds)`` and for
            what is cached. float64 keeps columns far from zero, such as timestamps in nanoseconds,
            whose differences float32 rounds away.

        Returns
        -------
        Dataset
            A view that delivers this type.

        Raises
        ------
        ValueError
            If it is another type.
        """
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"dtype must be torch.float32 or torch.float64, got {shown(dtype)}. A function "
                "makes another type of these: ds.map_batches(torch.Tensor.half)."
            )
        return self if dtype == self._inputs.asked else self._with_inputs(asked=dtype)

    def map_frames(self, function: Callable[..., Any], frame: Kind = "pandas") -> Self:
        """Apply a function to the rows as a DataFrame, whenever rows are read.

        It is given the features as they are stored: text, dates and what is missing among them.
        What it returns takes their place, so it may make numbers of text.

        Parameters
        ----------
        function : callable
            Takes a DataFrame of any number of rows, and returns as many, in the same order: a
            DataFrame of any library, an array of shape ``(n_rows,)`` or ``(n_rows, ...)``, or a
            dict of arrays, for a module with several inputs. What it makes of a row must not
            depend on the other rows, nor on random numbers.
        frame : {"pandas", "polars", "arrow"}, default="pandas"
            What the function is given: a ``pandas.DataFrame``, a ``polars.DataFrame`` or a
            ``pyarrow.Table``. In pandas, dates are datetime64, what is stored as a dictionary is a
            category, and whole numbers become floats in chunks where one is missing, as in
            ``pandas.read_parquet``. In Arrow, text is a dictionary of strings with codes of int32,
            which holds each text of a chunk once.

        Returns
        -------
        Dataset
            A view whose features are the function's results, with their names and types. Target
            and weight stay. Another ``map_frames`` may follow, and then ``map`` and
            ``map_batches``.

        Raises
        ------
        ValueError
            If the function makes something else of a row when it is given others beside it,
            returns other rows, or a column with the name of the target: it is tried on 256 rows
            from the first, middle and last block, all together and in parts. The same error comes
            while rows are read, if a chunk has other columns or types than those rows, or if
            every other row of the 1st, 2nd, 4th, 8th, ... chunk gives something else alone; it
            names the chunk and the column.
        TypeError
            If `function` is not callable.

        Examples
        --------
        >>> import pandas as pd
        >>> import sklearnish as sn
        >>> ds = sn.as_dataset(pd.DataFrame({"km": [120.0, 30.0], "hours": [2.0, 0.5]}))
        >>> fast = ds.map_frames(lambda df: df.assign(speed=df.km / df.hours))
        >>> fast.columns
        ('km', 'hours', 'speed')
        >>> fast[:, "speed"]
        array([60., 60.])
        """
        return mapped(self, FrameFunction(function, frame))

    def windows(
        self,
        length: int,
        horizon: int | Sequence[int] = 1,
        stride: int = 1,
        *,
        groups: str | None = None,
    ) -> Self:
        """Make windows over a series: row ``i`` is `length` neighbouring rows, from ``i * stride``.

        Nothing is copied; rows are read when windows are. The features of a window have the shape
        ``(length, n_features)``; its target lies `horizon` rows after its last row. Values of the
        target up to there are features only if its column is among the features, too.

        Parameters
        ----------
        length : int
            Rows of a window.
        horizon : int or sequence of int, default=1
            How many rows after the last row of a window its target lies: 1 is the next row, 0 the
            last row itself. ``range(1, 25)`` gives the next 24 values, of shape
            ``(n_windows, 24)``. Without a target it is ignored, and there are windows up to the
            last row, as for predicting what is not known yet: ``ds.without_target().windows(24)``.
        stride : int, default=1
            Rows from one window to the next.
        groups : str, default=None
            A column that says to which series a row belongs. No window spans two; the rows of one
            must be next to each other, and series that are too short have no window. It is no
            feature of the windows.

        Returns
        -------
        Dataset
            A view whose rows are windows. Weights are those of the rows of the target, on
            average. ``windows.column(name)`` gives other columns in the last row of each window,
            and :attr:`gap` what :class:`~sklearn.model_selection.TimeSeriesSplit` needs.

        Raises
        ------
        ValueError
            If rows were picked or put into another order before, functions of tensors were
            applied, features are no numbers, the rows of a group lie in several places, a
            parameter is out of range, or the series is too short for a window.

        Examples
        --------
        >>> import numpy as np
        >>> import sklearnish as sn
        >>> load = np.arange(8.0)
        >>> ds = sn.as_dataset(load[:, None], y=load).windows(3)
        >>> ds.shape, ds.target
        ((5, 3, 1), array([3., 4., 5., 6., 7.]))
        >>> ds[0][0].flatten()
        tensor([0., 1., 2.])
        """
        return windows_of(self, length, horizon, stride, groups)

    @property
    def gap(self) -> int:
        """Windows to leave out between training and test windows, so that they share no row.

        What ``TimeSeriesSplit(gap=ds.gap)`` takes; 0 where rows are no windows.
        """
        return getattr(self.source, "gap", 0)

    def map(self, function: Callable[..., Any]) -> Self:
        """Apply a function to the features of each row, whenever rows are read.

        Parameters
        ----------
        function : callable
            Takes the tensor of one row and returns a tensor, as torchvision's transforms do.
            If it has an argument ``rng``, it is given a ``numpy.random.Generator``.

        Returns
        -------
        Dataset
            A view whose rows are the function's results.
        """
        return replace(self, transforms=(*self.transforms, RowFunction(function)))

    def map_batches(self, function: Callable[..., Any]) -> Self:
        """Apply a vectorised function to the features of chunks of rows.

        Parameters
        ----------
        function : callable
            Takes a tensor of any number of rows and returns as many; the result for a row must
            not depend on the other rows.

        Returns
        -------
        Dataset
            A view whose rows are the function's results.
        """
        return replace(self, transforms=(*self.transforms, BatchFunction(function)))
