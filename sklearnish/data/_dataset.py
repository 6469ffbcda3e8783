"""The immutable view that users hold: a source, some of its rows, and what its columns mean."""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from sklearnish.data import _display, _reading, _rows
from sklearnish.data._arguments import check_epochs, find_device, seed_of
from sklearnish.data._batch import Batch, Features
from sklearnish.data._columns import (
    check_no_name,
    column_names,
    feature_names,
    feature_positions,
    listed_names,
)
from sklearnish.data._finite import check_finite
from sklearnish.data._rows import Rows
from sklearnish.data._source import IntArray, Source
from sklearnish.data._transforms import BatchFunction, RowFunction

if TYPE_CHECKING:
    import pandas as pd

    from sklearnish.data._loader import Loader

Values = npt.NDArray[Any]
Target = str | tuple[str, ...] | Values | None

_CLASSES = "classes of the attached labels"
"""Key under which they are known; no column has this name."""

_ARRAY_CAP = 2**30
"""Bytes above which a Dataset refuses to become an array or a DataFrame."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A lazy, row-addressable view of arrays, a DataFrame or files.

    Made by :func:`as_dataset` and the ``scan_*`` functions. Immutable: every method returns a
    new view. scikit-learn's splitters, searches and pipelines index it like an array, and only
    the rows and columns that are asked for are read.

    Examples
    --------
    >>> import numpy as np
    >>> import sklearnish as sn
    >>> ds = sn.as_dataset(np.arange(12.0).reshape(6, 2), y=[0, 1, 0, 1, 0, 1])
    >>> ds.shape
    (6, 2)
    >>> ds[ds.target == 1].shape
    (3, 2)
    >>> for X, y in ds.batches(4):
    ...     print(tuple(X.shape), y.tolist())
    (4, 2) [0, 1, 0, 1]
    (2, 2) [0, 1]
    """

    _source: Source
    _rows: Rows
    _names: tuple[str, ...] | None = None
    _picked: IntArray | None = None
    _target: Target = None
    _weight: str | Values | None = None
    _transforms: tuple[RowFunction | BatchFunction, ...] = ()
    _dtype: torch.dtype = torch.float32
    _known: dict[str, Values] = field(default_factory=dict)
    _constants: dict[str | int, float] = field(default_factory=dict)

    # What it is

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
        if self._transforms:
            X = self._first_row
            return () if isinstance(X, dict) else tuple(X.shape[1:])
        if self._names is not None:
            shapes = [self._source.schema[name].shape for name in self._names]
            return (sum(map(math.prod, shapes)),)
        return self._source.schema["X"].shape if self._picked is None else (len(self._picked),)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type in which the features are delivered: float32, or uint8 for images."""
        if self._names is not None and not self._transforms:
            return np.dtype(str(self._dtype).removeprefix("torch."))
        X = self._first_row
        tensor = next(iter(X.values())) if isinstance(X, dict) else X
        return np.dtype(str(tensor.dtype).removeprefix("torch."))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the feature columns; unnamed arrays have none, as in NumPy."""
        if self._names is None or (self._transforms and self._width_changed):
            # An AttributeError: scikit-learn takes whatever has columns for a DataFrame.
            raise AttributeError(f"The features of {self._source.name} have no names.")
        return self._names

    @property
    def dtypes(self) -> dict[str, str]:
        """Stored types of the features, by name."""
        return {name: self._source.schema[name].dtype for name in self._names or ("X",)}

    @property
    def target(self) -> Values | None:
        """Labels of the rows, shape (n_rows,) or (n_rows, n_targets); None without a target."""
        if isinstance(self._target, tuple):
            return np.stack([_reading.column(self, name) for name in self._target], axis=1)
        if isinstance(self._target, str):
            return _reading.column(self, self._target)
        return self._target

    @property
    def weight(self) -> Values | None:
        """Weights of the rows, shape (n_rows,); None where none were given."""
        if isinstance(self._weight, str):
            return _reading.column(self, self._weight)
        return self._weight

    @property
    def in_memory(self) -> bool:
        """Whether a read is a copy from memory, without a file or a function in between."""
        return self._source.in_memory and not self._transforms

    @property
    def source(self) -> Source:
        """Where the rows are stored; all views of a Dataset share it."""
        return self._source

    @property
    def rows(self) -> npt.NDArray[np.integer[Any]]:
        """Numbers of the rows in the source, in the order of the view: int32 or int64."""
        return _rows.as_array(self._rows)

    @property
    def transforms(self) -> tuple[RowFunction | BatchFunction, ...]:
        """Functions that rows pass through whenever they are read."""
        return self._transforms

    @cached_property
    def row_nbytes(self) -> int:
        """Bytes of the features of one row as delivered, at least 1."""
        if self._names is not None and not self._transforms:
            return max(1, self.row_shape[0] * self._dtype.itemsize)
        X = self._first_row
        return max(1, sum(t.nbytes for t in (X.values() if isinstance(X, dict) else [X])))

    @cached_property
    def classes(self) -> Values:
        """Distinct labels in ascending order; text labels are delivered as numbers in it.

        They are those of the whole column or array, so that a label has one number in all views.
        """
        name = self._source.name
        if isinstance(self._target, str):
            return _reading.find_classes(_reading.whole_column(self, self._target), name)
        if _CLASSES in self._known:
            return self._known[_CLASSES]
        return _reading.find_classes(np.asarray(self.target), name)

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
        rows, columns = _rows_and_columns(key)
        if isinstance(rows, int | np.integer):
            return self._row(int(rows)) if columns is ... else self[[rows], columns][0]
        view = self if _is_all(rows) else self._select_rows(rows)
        return view if columns is ... or _is_all(columns) else view._select_columns(columns)

    def select(self, columns: Sequence[str]) -> "Dataset":
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
            If a column does not exist; the message names those that do.
        TypeError
            If `columns` is no list.
        """
        names = column_names(self._source, listed_names(columns))
        return self if names == self._names else replace(self, _names=names)

    def with_target(self, y: Any) -> "Dataset":
        """Attach labels that are in memory.

        Parameters
        ----------
        y : array-like of shape (n_rows,) or (n_rows, n_targets), or None
            One label per row of the view; views of the view carry theirs along.

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
            return replace(self, _target=None)
        check_no_name(y)
        labels = self._per_row(y, "y")
        if labels.dtype == object and not any(isinstance(label, str) for label in labels.flat):
            labels = labels.astype(np.float64)
        known = {k: v for k, v in self._known.items() if k != _CLASSES}
        if labels.dtype.kind not in "biuf":
            known[_CLASSES] = _reading.find_classes(labels, "y")
        return replace(self, _target=labels, _known=known)

    def with_weight(self, weight: Any) -> "Dataset":
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
        return replace(self, _weight=None if weight is None else self._per_row(weight, "weight"))

    def without_target(self) -> "Dataset":
        """Leave out labels and weights, so that only features are read.

        Returns
        -------
        Dataset
            A view of the features alone.
        """
        return replace(self, _target=None, _weight=None)

    def with_dtype(self, dtype: torch.dtype) -> "Dataset":
        """Set the floating point type in which numbers are delivered.

        Parameters
        ----------
        dtype : torch.dtype
            ``torch.float32`` or ``torch.float64``.

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
                f"dtype must be torch.float32 or torch.float64, got {dtype!r}. A function makes "
                "another type of these: ds.map_batches(torch.Tensor.half)."
            )
        return self if dtype == self._dtype else replace(self, _dtype=dtype)

    def map(self, function: Callable[..., Any]) -> "Dataset":
        """Apply a function to the features of each row, whenever rows are read.

        Parameters
        ----------
        function : callable
            Takes the tensor of one row and returns a tensor, as torchvision's transforms do.
            If it names an argument ``rng`` it is given a ``numpy.random.Generator``.

        Returns
        -------
        Dataset
            A view whose rows are the function's results.
        """
        return replace(self, _transforms=(*self._transforms, RowFunction(function)))

    def map_batches(self, function: Callable[..., Any]) -> "Dataset":
        """Apply a vectorised function to the features of chunks of rows.

        Parameters
        ----------
        function : callable
            Takes a tensor of any number of rows and returns as many; each row's result must
            not depend on the rows beside it.

        Returns
        -------
        Dataset
            A view whose rows are the function's results.
        """
        return replace(self, _transforms=(*self._transforms, BatchFunction(function)))

    def without_attached(self) -> "Dataset":
        """Leave out labels and weights that are in memory, keeping those in columns.

        Returns
        -------
        Dataset
            What has to travel to a worker process.
        """
        kept = [None if isinstance(v, np.ndarray) else v for v in (self._target, self._weight)]
        return replace(self, _target=kept[0], _weight=kept[1])  # type: ignore[arg-type]

    # Rows out

    def read(
        self,
        positions: Any,
        *,
        augment: tuple[Any, ...] = (),
        seed: int = 0,
        epoch: int = 0,
        start: int | None = None,
        finite: bool = False,
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
            row in the epoch's order, None to use the positions themselves.
        finite : bool
            Whether to raise for NaN and infinity.

        Returns
        -------
        Batch
            The rows in the order of `positions`.

        Raises
        ------
        ValueError
            If a column is not numeric, or, with `finite`, if a number is not finite.
        """
        positions = _rows.positions_of(len(self), positions)
        order = positions if start is None else np.arange(start, start + len(positions))
        address = (seed, epoch, order)
        stored = _reading.read_stored(self, positions, address)
        batch = _reading.transformed(self, stored, positions, address, augment)
        if finite:
            check_finite(batch.X, self, positions, (*self._transforms, *augment))
        return batch

    def batches(
        self,
        batch_size: int = 256,
        *,
        shuffle: bool = False,
        sampler: Any = None,
        epochs: int = 1,
        augment: Any = None,
        num_workers: int | Literal["auto"] = "auto",
        pin_memory: bool | Literal["auto"] = "auto",
        shuffle_memory: int | str = "256MB",
        device: torch.device | str = "cpu",
        random_state: int | None = 0,
    ) -> Iterator[tuple[Any, ...]]:
        """Iterate over batches of tensors, for a training loop of your own.

        Parameters
        ----------
        batch_size : int, default=256
            Rows per batch; the last one may be smaller.
        shuffle : bool, default=False
            Whether to read rows in random order, another one in each epoch.
        sampler : str or callable, default=None
            Overrides `shuffle`: "shuffle", "sequential", "balanced", "weighted" or a callable
            given this view that returns positions or a torch ``Sampler``.
        epochs : int, default=1
            How often to go through the rows.
        augment : callable, sequence of callables or per_batch, default=None
            Random functions of rows or batches.
        num_workers : int or "auto", default="auto"
            Worker processes that read ahead; 0 reads in this process when asked. The batches
            are the same whatever it is.
        pin_memory : bool or "auto", default="auto"
            Whether batches are put into page-locked memory; "auto" does so for CUDA.
        shuffle_memory : int or str, default="256MB"
            Memory for reading and shuffling rows of files.
        device : torch.device or str, default="cpu"
            Where the tensors are put.
        random_state : int or None, default=0
            Seed of order and augmentation; None draws one. The same seed gives the same
            epochs: for another order in a further call, pass another.

        Returns
        -------
        iterator of tuple
            ``(X, y)``, with ``y`` None without a target; ``(X, y, weight)`` if the Dataset
            has weights.

        Raises
        ------
        ValueError
            If there are no rows, a parameter is out of range, or there is no such device here.
        TypeError
            If `sampler` or `augment` are of another kind.
        """
        from sklearnish.data._loader import Loader

        check_epochs(epochs)
        loader = Loader(
            self,
            batch_size=batch_size,
            epochs=epochs,
            sampler=sampler or ("shuffle" if shuffle else "sequential"),
            seed=seed_of(random_state),
            augment=augment,
            shuffle_memory=shuffle_memory,
            num_workers=num_workers,
            pin_memory=pin_memory,
            device=find_device(device),
            finite=False,
        )
        return _tuples(loader, epochs, 3 if self._weight is not None else 2)

    def cache(self, path: Any, *, shuffle: bool = False, random_state: int = 0) -> "Dataset":
        """Write the rows, transforms applied, to a folder and map them into memory.

        Parameters
        ----------
        path : path-like
            A new folder, which appears when it is complete; or one that holds these very rows
            already, which is used again.
        shuffle : bool, default=False
            Whether to write the rows in random order.
        random_state : int, default=0
            Seed of that order.

        Returns
        -------
        Dataset
            The written rows, with the same columns, target and weights.

        Raises
        ------
        FileExistsError
            If the folder holds something else.
        """
        from sklearnish.data._folder import write_folder

        return write_folder(self, path, shuffle=shuffle, seed=random_state)

    def head(self, n: int = 5) -> "pd.DataFrame":
        """Show the first rows.

        Parameters
        ----------
        n : int, default=5
            How many.

        Returns
        -------
        pandas.DataFrame
            As :meth:`to_pandas` gives them.
        """
        frame: pd.DataFrame = self[:n].to_pandas()
        return frame

    def to_pandas(self, limit: int | None = None) -> "pd.DataFrame":
        """Read rows into a DataFrame.

        Parameters
        ----------
        limit : int or None, default=None
            How many rows, from the first; None for all.

        Returns
        -------
        pandas.DataFrame
            Features as stored, then the target.

        Raises
        ------
        ValueError
            If the rows are not a table, or more than a gigabyte.
        """
        view = self if limit is None else self[:limit]
        view._refuse_large("a DataFrame")
        return _display.to_pandas(view)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Values:
        """Read the features into an array if they are less than a gigabyte."""
        self._refuse_large("an array")
        X = self.without_target().read(np.arange(len(self))).X
        if isinstance(X, dict):
            raise TypeError("Rows that are dicts of tensors cannot become an array.")
        return np.asarray(X.numpy(), dtype=dtype)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Let numpy's functions (``hstack``, ``concatenate``) see an array."""
        return func(*_display.as_arrays(args), **_display.as_arrays(kwargs))

    def __sklearn_clone__(self) -> "Dataset":
        """Return itself: nothing in it can change."""
        return self

    def copy(self) -> "Dataset":
        """Make a lazy copy whose columns can be set to one value.

        ``copied[:, j] = 1.0`` is what :func:`sklearn.inspection.partial_dependence` does; the
        rows of this Dataset stay as they are.

        Returns
        -------
        Dataset
            A view of the same rows.
        """
        from sklearnish.data._copied import CopiedDataset

        state = {f.name: self.__dict__[f.name] for f in fields(self)}
        return CopiedDataset(**state | {"_constants": dict(self._constants)})

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be read again."""
        state = {f.name: self.__dict__[f.name] for f in fields(self)}
        return state | {"_known": {k: v for k, v in self._known.items() if k == _CLASSES}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the fields of a frozen instance."""
        self.__dict__.update(state)

    def __repr__(self) -> str:
        """Show what a DataFrame would."""
        return _display.describe(self)

    # Private

    @property
    def _first_row(self) -> Features:
        """Features of one row, from which types and sizes are told."""
        return replace(self.without_target(), _rows=range(1)).read([0]).X

    @property
    def _width_changed(self) -> bool:
        """Whether functions have made other features of the columns."""
        stored = replace(self, _transforms=()).row_shape
        return self.row_shape != stored

    def _row(self, position: int) -> Any:
        """One row as a torch Dataset gives it."""
        X, y, _ = self.read(_rows.positions_of(len(self), [position]))
        x = {k: v[0] for k, v in X.items()} if isinstance(X, dict) else X[0]
        return x if y is None else (x, y[0])

    def _select_rows(self, key: Any) -> "Dataset":
        """Take some rows; arrays attached to them follow."""
        target, weight = self._target, self._weight
        picked = key if isinstance(key, slice) else _rows.positions_of(len(self), key)
        return replace(
            self,
            _rows=_rows.select(self._rows, picked),
            _target=target[picked] if isinstance(target, np.ndarray) else target,
            _weight=weight[picked] if isinstance(weight, np.ndarray) else weight,
        )

    def _select_columns(self, key: Any) -> Any:
        """Take some features, or the values of one."""
        if self._transforms:
            raise IndexError("Columns are picked before map and map_batches, not after.")
        if isinstance(key, int | np.integer | str):
            view = self._select_columns([key]).without_target()
            return view.__array__()[:, 0]
        if self._names is not None:
            return self.select(feature_names(self._names, key))
        width = self.shape[1] if self.ndim == 2 else None
        return replace(self, _picked=feature_positions(width, self._picked, key))

    def _per_row(self, values: Any, name: str) -> Values:
        """Make an array with one value per row."""
        array = np.asarray(values)
        if array.ndim == 0 or len(array) != len(self):
            given = "a scalar" if array.ndim == 0 else f"{len(array)} values"
            raise ValueError(f"{name} has {given}, the Dataset has {len(self)} rows.")
        return array

    def _refuse_large(self, what: str) -> None:
        """Raise if the features are too large to be held in memory by accident."""
        nbytes = len(self) * self.row_nbytes if len(self) else 0
        if nbytes > _ARRAY_CAP:
            raise ValueError(
                f"{self._source.name} has {nbytes / 2**30:.1f} GiB of features, too many for "
                f"{what}. Estimators of sklearnish read a Dataset batch by batch; for others "
                f"pass a view of some rows, for example ds[:{_ARRAY_CAP // self.row_nbytes}]."
            )


def _tuples(loader: "Loader", epochs: int, n: int) -> Iterator[tuple[Any, ...]]:
    """Yield the first fields of every batch; the loader is closed in the end."""
    with loader:
        for _ in range(epochs):
            for batch in loader:
                yield tuple(batch[:n])


def _rows_and_columns(key: Any) -> tuple[Any, Any]:
    """Split the key of an index; a tuple of one array, as of np.nonzero, is rows."""
    rows, columns = key if isinstance(key, tuple) and len(key) == 2 else (key, ...)
    if isinstance(rows, tuple):
        if len(rows) != 1:
            raise IndexError(
                "A Dataset is indexed by rows, or by rows and columns: ds[rows, columns]; got "
                f"{rows!r}. Several rows are a list: ds[[0, 1, 2]]."
            )
        (rows,) = rows
    return rows, columns


def _is_all(key: Any) -> bool:
    """Tell ``:`` and ``...``."""
    return key is ... or (isinstance(key, slice) and key == slice(None))


# Datasets are made by as_dataset and the scan functions: their fields are nobody's arguments.
Dataset.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
