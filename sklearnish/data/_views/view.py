"""A view: a source, some of its rows, and what its columns mean."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from sklearnish.data._errors import BadRowsError
from sklearnish.data._functions.applying import apply_rows
from sklearnish.data._functions.functions import BatchFunction, RowFunction
from sklearnish.data._functions.randomness import Randomness
from sklearnish.data._functions.results import check_real
from sklearnish.data._source import IntArray, Source
from sklearnish.data._tensors.batch import Batch, Features
from sklearnish.data._tensors.buffers import empty
from sklearnish.data._tensors.convert import float32_holds
from sklearnish.data._views import labels, row_numbers
from sklearnish.data._views.columns import check_no_name, column_names
from sklearnish.data._views.gather import first_readable, gather, never_stops
from sklearnish.data._views.inputs import Inputs
from sklearnish.data._views.labels import Labels
from sklearnish.data._views.row_numbers import Rows

Values = npt.NDArray[Any]
Address = tuple[int, int, IntArray]
"""Seed, epoch, and places of the rows in the epoch's order."""

_READING = 3
"""Tells the randomness of reading from that of functions of rows and batches."""


@dataclass(frozen=True, eq=False, repr=False)
class View:
    """A source, some of its rows, and what its columns mean; all that reads rows takes one.

    Immutable: every method returns a new view, of the class of this one.
    """

    source: Source
    """Where the rows are stored; all views of a Dataset share it."""
    _rows: Rows
    _inputs: Inputs = field(default_factory=Inputs)
    _target: Labels = field(default_factory=Labels)
    _weight: Labels = field(default_factory=Labels)
    transforms: tuple[RowFunction | BatchFunction, ...] = ()
    """Functions that rows pass through whenever they are read."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, then the shape of one row: ``(n_rows, n_columns)`` for a table."""
        return (len(self), *self.row_shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions of ``shape``: 2 for a table."""
        return len(self.shape)

    @cached_property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of the features of one row as the model receives them."""
        if not self.transforms:
            return self._inputs.row_shape(self.source)
        X = self._first_row
        return () if isinstance(X, dict) else tuple(X.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type in which rows and batches are delivered: float32, or uint8 for images.

        ``np.asarray(ds)`` is float64 where float32 cannot hold what is stored, unless
        :meth:`with_dtype` chose.
        """
        if self._inputs.names is not None and not self.transforms:
            return np.dtype(str(self._inputs.dtype).removeprefix("torch."))
        X = self._first_row
        tensor = next(iter(X.values())) if isinstance(X, dict) else X
        return np.dtype(str(tensor.dtype).removeprefix("torch."))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the feature columns; unnamed arrays have none, as in NumPy."""
        names = self._inputs.names
        made = any(getattr(function.f, "makes_features", False) for function in self.transforms)
        if made or names is None or self.row_shape != self._inputs.row_shape(self.source):
            # An AttributeError: scikit-learn takes whatever has columns for a DataFrame.
            raise AttributeError(f"The features of {self.source.name} have no names.")
        return names

    @property
    def dtypes(self) -> dict[str, str]:
        """Stored types of the features, by name."""
        names = ("X",) if self._inputs.names is None else self._inputs.names
        return {name: self.source.schema[name].dtype for name in names}

    @property
    def target(self) -> Values | None:
        """Labels of the rows, shape (n_rows,) or (n_rows, n_targets); None without a target.

        If a torch Dataset draws its labels at random, they are those of ``ds[i]``.
        """
        return self._target.of(self.source, self._rows)

    @property
    def weight(self) -> Values | None:
        """Weights of the rows, shape (n_rows,); None without weights."""
        return self._weight.of(self.source, self._rows)

    @property
    def in_memory(self) -> bool:
        """Whether a read is a copy from memory, without a file or a function in between."""
        return self.source.in_memory and not self.transforms

    @property
    def rows(self) -> npt.NDArray[np.integer[Any]]:
        """Row indices in the source, in the order of the view: int32 or int64."""
        return row_numbers.as_array(self._rows)

    @cached_property
    def row_nbytes(self) -> int:
        """Bytes of the features of one row as delivered, at least 1."""
        if self._inputs.names is not None and not self.transforms:
            return self._inputs.row_nbytes(self.source)
        X = self._first_row
        return max(1, sum(t.nbytes for t in (X.values() if isinstance(X, dict) else [X])))

    @cached_property
    def classes(self) -> Values:
        """Distinct labels in ascending order; text labels are delivered as indices into it.

        They are those of the whole column or array, so a label has the same index in all views.
        """
        if len(self._target.names) == 1:
            return labels.classes_of(self.source, self._target.names[0])
        if self._target.classes is not None:
            return self._target.classes
        return labels.find_classes(np.asarray(self.target), self.source.name)

    # Views

    def __getitem__(self, key: Any) -> Any:
        """Select rows, ``ds[rows]``, or rows and columns, ``ds[rows, columns]``.

        Parameters
        ----------
        key : slice, mask, sequence of int, int, or a pair of rows and columns
            Negative numbers count from the end.

        Returns
        -------
        Dataset, tuple or ndarray
            A view. One row number gives that row as a torch Dataset does: ``(x, y)``, or ``x``
            without a target. One column number, ``ds[:, j]``, gives its values.

        Raises
        ------
        IndexError
            If a row or column does not exist, or the key is of another kind.
        """
        rows, columns = row_numbers.split_key(key)
        if isinstance(rows, int | np.integer):
            return self._row(int(rows)) if columns is ... else self[[rows], columns][0]
        view = self if row_numbers.is_all(rows) else self._select_rows(rows)
        every = columns is ... or row_numbers.is_all(columns)
        return view if every else view._select_columns(columns)

    def with_target(self, y: Any) -> Self:
        """Attach labels that are in memory.

        Parameters
        ----------
        y : array-like of shape (n_rows,) or (n_rows, n_targets), or None
            One label per row of the view; views of this view keep the labels of their rows.

        Returns
        -------
        Dataset
            A view with these labels.

        Raises
        ------
        ValueError
            If the number of labels is not the number of rows.
        TypeError
            If `y` is the name of a column.
        """
        if y is None:
            return replace(self, _target=Labels())
        check_no_name(y)
        return replace(self, _target=labels.attached_labels(y, len(self)))

    def with_weight(self, weight: Any) -> Self:
        """Attach row weights that are in memory.

        Parameters
        ----------
        weight : array-like of shape (n_rows,), or None
            One weight per row of the view.

        Returns
        -------
        Dataset
            A view with these weights.

        Raises
        ------
        ValueError
            If the number of weights is not the number of rows.
        """
        if weight is None:
            return replace(self, _weight=Labels())
        return replace(self, _weight=labels.attached_weights(weight, len(self)))

    def without_target(self) -> Self:
        """Drop labels and weights, so that only features are read.

        Returns
        -------
        Dataset
            A view of the features only.
        """
        return replace(self, _target=Labels(), _weight=Labels())

    def without_attached(self) -> Self:
        """Drop labels and weights that are in memory, keeping those in columns.

        Returns
        -------
        Dataset
            What has to travel to a worker process.
        """
        target, weight = self._target.without_array(), self._weight.without_array()
        return replace(self, _target=target, _weight=weight)

    # Rows out

    def read(
        self,
        positions: Any,
        *,
        augment: tuple[Any, ...] = (),
        seed: int = 0,
        epoch: int = 0,
        start: int | None = None,
    ) -> Batch:
        """Read rows as tensors.

        Parameters
        ----------
        positions : array-like of int, shape (n,)
            Positions in the view, in any order.
        augment : tuple
            Further functions of rows, after those of the view.
        seed, epoch, start : int
            Where the randomness of functions comes from; `start` is the place of the first
            row in the epoch's order. With None they draw by the positions themselves, and rows
            that a torch Dataset draws at random are those of ``ds[i]`` and of ``target``.

        Returns
        -------
        Batch
            The rows in the order of `positions`.

        Raises
        ------
        ValueError
            If a column is not numeric.
        """
        positions = row_numbers.positions_of(len(self), positions)
        order = positions if start is None else np.arange(start, start + len(positions))
        address = (seed, epoch, order)
        stored = self._read_stored(positions, None if start is None else address)
        return self._transformed(stored, positions, address, augment)

    def _read_stored(
        self,
        positions: IntArray,
        address: Address | None,
        empty: Callable[..., torch.Tensor] = empty,
    ) -> Batch:
        """Read features, labels and weights.

        Where the user's code draws random numbers while a row is read, they come from the row's
        address: seed, epoch and place in the epoch's order. Without one they come from its number.
        """
        source, inputs, seeds = self.source, self._inputs, None
        rows = row_numbers.take(self._rows, positions)
        if address is not None and source.uses_global_generators:
            seed, epoch, places = address
            seeds = Randomness((seed, epoch, _READING)).seeds(0, places)
        with_y = not source.tabular and self._target.come_with_rows
        X, came = gather(source, inputs, rows, with_y=with_y, seeds=seeds, empty=empty)
        y = self._target.read(source, came, rows, inputs.dtype)
        weight = self._weight.read(source, None, rows, inputs.dtype)
        return self._attach(Batch(X, y, weight), positions)

    def _attach(self, stored: Batch, positions: IntArray) -> Batch:
        """Add labels and weights that are in memory to rows that were read without them."""
        if self._target.array is None and self._weight.array is None:
            return stored
        X, y, weight = stored
        dtype, name_row = self._inputs.dtype, self._name_row
        y = self._target.attach(y, positions, dtype, name_row)
        return Batch(X, y, self._weight.attach(weight, positions, dtype, name_row))

    @never_stops
    def _transformed(
        self,
        stored: Batch,
        positions: IntArray,
        address: Address,
        augment: tuple[Any, ...],
        seconds: list[float] | None = None,
    ) -> Batch:
        """Apply functions of rows, those of the view first; `seconds` takes the time of each."""
        functions = (*self.transforms, *augment)
        if not functions:
            check_real(stored.X, self.source.name)
            return stored
        seed, epoch, places = address
        try:
            X = apply_rows(
                functions,
                stored.X,
                seed=seed,
                epoch=epoch,
                positions=places,
                name_row=lambda i: self._name_row(int(positions[i])),
                seconds=seconds,
            )
        except BadRowsError as error:
            rows = row_numbers.take(self._rows, positions[error.rows])
            raise BadRowsError(f"{self.source.row_name(int(rows[0]))}: {error}", rows) from error
        check_real(X, functions[-1].name)  # between functions they may be, as torch.fft makes them
        return Batch(X, stored.y, stored.weight)

    def _name_row(self, position: int) -> str:
        """Name a row as errors do, by its file and number there."""
        return self.source.row_name(int(row_numbers.take(self._rows, np.array([position]))[0]))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be read again."""
        return {f.name: self.__dict__[f.name] for f in fields(self)}

    # Private

    def _as_stored(self) -> Self:
        """Leave out labels and functions, and take a type that holds what is stored."""
        view = replace(self.without_target(), transforms=())
        wide = not float32_holds(self.dtypes.values())
        return view._with_inputs(asked=torch.float64) if wide else view

    @property
    def _first_row(self) -> Features:
        """Features of one row, from which types and sizes are told."""
        rows = replace(self.without_target(), _rows=range(self.source.n_rows))
        return first_readable(len(rows), lambda row: rows.read([row]).X)

    def _with_inputs(self, **changes: Any) -> Self:
        """Read something else of the rows."""
        return replace(self, _inputs=replace(self._inputs, **changes))

    def _row(self, position: int) -> Any:
        """One row as a torch Dataset gives it."""
        X, y, _ = self.read(row_numbers.positions_of(len(self), [position]))
        x = {k: v[0] for k, v in X.items()} if isinstance(X, dict) else X[0]
        return x if y is None else (x, y[0])

    def _select_rows(self, key: Any) -> Self:
        """Take some rows; arrays attached to them follow."""
        picked = key if isinstance(key, slice) else row_numbers.positions_of(len(self), key)
        return replace(
            self,
            _rows=row_numbers.select(self._rows, picked),
            _target=self._target.take(picked),
            _weight=self._weight.take(picked),
        )

    def _select_columns(self, key: Any) -> Any:
        """Take some features, or the values of one."""
        if self.transforms:
            raise IndexError("Columns are picked before map and map_batches, not after.")
        if isinstance(key, int | np.integer | str):
            view = self._select_columns([key])
            name = (view._inputs.names or ("X",))[0]
            if self.source.schema[name].kind != "number":
                return labels.values_of(self.source, name, self._rows)
            view = view._as_stored() if self._inputs.asked is None else view.without_target()
            return view.read(np.arange(len(view))).X.numpy()[:, 0]
        picked = self._inputs.find(key, self.row_shape)
        if isinstance(picked, tuple):
            return self._with_inputs(names=column_names(self.source, picked))
        return self._with_inputs(picked=picked)
