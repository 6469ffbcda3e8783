"""Labels and weights of the rows of a view: columns, which are held in memory, or arrays.

A row and its label may come from one call of the user's code. Such labels are asked for before
training, to be numbered, and what the loss takes stands for them. A Dataset that draws a row and
its label together gives other ones in each epoch, so the labels that come with the rows count.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Number
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from sklearnish.data._arrow.frames import is_missing
from sklearnish.data._arrow.lists import declared
from sklearnish.data._shown import shown
from sklearnish.data._source import Column, IntArray, Source
from sklearnish.data._tensors.convert import as_numpy, from_numpy, to_matrix
from sklearnish.data._views import row_numbers
from sklearnish.data._views.exact import as_labels, check_exact, has_gaps, rounded
from sklearnish.data._views.row_numbers import Rows

Values = npt.NDArray[Any]
Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class OwnLabels:
    """The labels that the rows of a view had when they were asked for.

    Attributes
    ----------
    values : ndarray of shape (n_rows,) or (n_rows, n_targets)
        In the order of the view; of no rows in a worker process.
    classes : ndarray or None
        Distinct labels, where they are text.
    encode : callable or None
        Turns other labels into what stands for them; None where there must be no others.
    """

    values: Values
    classes: Values | None
    encode: Callable[[Values], Values] | None = None

    def take(self, picked: Any) -> "OwnLabels":
        """Pick rows."""
        return replace(self, values=self.values[picked])

    def without_values(self) -> "OwnLabels":
        """Leave what a worker process needs."""
        return replace(self, values=self.values[:0], encode=None)

    def numbered(self, labels: Values) -> Tensor:
        """Make a tensor that can travel: of text, its number among the classes."""
        known = self.classes
        return from_numpy(labels if known is None else number_text(labels, known))

    def standing_for(
        self, came: Tensor, known: Values, positions: IntArray, name_row: Callable[[int], str]
    ) -> Values:
        """Return what stands for labels that came with rows.

        Parameters
        ----------
        came : Tensor, n rows
            They, as :meth:`numbered` gives them.
        known : ndarray, one row for each of the view
            What stands for the labels of the view.
        positions : ndarray of int64, shape (n,)
            Which rows of the view they are of.
        name_row : callable
            Names a row by its position.

        Raises
        ------
        ValueError
            If a label is another one than before, and may not be.
        """
        expected = self.numbered(self.values[positions])
        if torch.equal(came, expected):
            return known[positions]
        labels = came.numpy() if self.classes is None else self.classes[came.numpy()]
        if self.encode is not None:
            return self.encode(labels)
        different = (came != expected).reshape(len(came), -1).any(1).numpy()
        first = int(np.flatnonzero(different)[0])
        raise ValueError(
            f"{name_row(int(positions[first]))} has the label {labels[first]}, but had "
            f"{self.values[positions[first]]} before: its label changes from one call to the "
            "next. Draw it from torch's, NumPy's or Python's global generators, or from one that "
            "the Dataset holds: these are seeded, so that a row can be evaluated."
        )


@dataclass(frozen=True, eq=False)
class Labels:
    """The targets, or the weights, of the rows of a view.

    Attributes
    ----------
    names : tuple of str
        Columns that hold them; several are targets side by side.
    array : ndarray or None
        They, in the order of the view, where they are attached to it.
    classes : ndarray or None
        Distinct ones of attached text, ascending, which stay the same in all views.
    own : OwnLabels or None
        Those that come with the rows, where `array` stands for them.
    """

    names: tuple[str, ...] = ()
    array: Values | None = None
    classes: Values | None = None
    own: OwnLabels | None = None

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self.names) or self.array is not None

    @property
    def come_with_rows(self) -> bool:
        """Whether a source of arrays has them in its field "y"."""
        return len(self.names) == 1 or self.own is not None

    def of(self, source: Source, rows: Rows) -> Values | None:
        """Values for the rows of a view, shape (n_rows,) or (n_rows, n_targets)."""
        if self.array is not None:
            return self.array
        columns = [column(source, name, rows) for name in self.names]
        return np.stack(columns, axis=1) if len(columns) > 1 else columns[0] if columns else None

    def take(self, picked: Any) -> "Labels":
        """Pick rows."""
        if self.array is None:
            return self
        return replace(self, array=self.array[picked], own=self.own and self.own.take(picked))

    def without_array(self) -> "Labels":
        """Leave what a worker process needs."""
        if self.own is not None:
            return Labels(("y",), own=self.own.without_values())
        return self if self.array is None else Labels()

    def read(
        self, source: Source, came: Column | None, rows: IntArray, dtype: torch.dtype
    ) -> Tensor | None:
        """Make a tensor of those in columns, for some rows, unless they came with these.

        A column is looked up in memory, so that its type is that of all its values: a piece of
        a file without missing ones would have another.
        """
        if self.own is not None:
            return self.own.numbered(as_numpy(came))
        if not self.names:
            return None
        if len(self.names) > 1:
            return to_matrix([_looked_up(source, name, rows) for name in self.names], dtype)
        (name,) = self.names
        values = _looked_up(source, name, rows) if came is None else as_numpy(came)
        classes = None if values.dtype.kind in "biuf" else classes_of(source, name)
        return _to_tensor(values, dtype, classes)

    def attach(
        self,
        came: Tensor | None,
        positions: IntArray,
        dtype: torch.dtype,
        name_row: Callable[[int], str],
    ) -> Tensor | None:
        """Add those that are in memory to rows that were read without them."""
        if self.array is None:
            return came
        if self.own is None or came is None:
            return _to_tensor(self.array[positions], dtype, self.classes)
        stand_ins = self.own.standing_for(came, self.array, positions, name_row)
        return _to_tensor(stand_ins, dtype, self.classes)


def number_text(labels: Values, classes: Values) -> Values:
    """Look up the place of labels among the classes.

    Raises
    ------
    ValueError
        If one is not among them.
    """
    found = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    new = np.flatnonzero(classes[found] != labels)
    if len(new):
        raise ValueError(
            f"The label {shown(str(labels[new[0]]))} is new: it did not occur when the labels "
            "were read before training, so the label of an item has changed."
        )
    return found


def attached_labels(y: Any, n_rows: int) -> Labels:
    """Take labels that are in memory, numbers or text; numbers may be held as Python objects."""
    values = _per_row(as_labels(y, "y"), n_rows, "y")
    is_number = values.dtype.kind in "biuf"
    return Labels(array=values, classes=None if is_number else find_classes(values, "y"))


def attached_weights(weight: Any, n_rows: int) -> Labels:
    """Take weights that are in memory: numbers."""
    values = _per_row(weight, n_rows, "weight")
    return Labels(array=values if values.dtype.kind in "biuf" else values.astype(np.float64))


def _per_row(values: Any, n_rows: int, name: str) -> Values:
    """Make an array with one value per row."""
    array = np.asarray(values)
    if array.ndim == 0 or len(array) != n_rows:
        given = "a scalar" if array.ndim == 0 else f"{len(array)} values"
        raise ValueError(f"{name} has {given}, the Dataset has {n_rows} rows.")
    return array


def _to_tensor(values: Values, dtype: torch.dtype, classes: Values | None) -> Tensor:
    """Make a tensor: of int64 for whole numbers; of text, its number among the classes."""
    if values.dtype.kind not in "biuf":
        assert classes is not None
        values = number_text(values, classes)
    if values.dtype.kind in "iu":
        values = values.astype(np.int64, copy=False)
    tensor = from_numpy(values)
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


_read_before: WeakKeyDictionary[Source, dict[str, int]] = WeakKeyDictionary()
"""Of how many rows a column was read for views of few; of all, once it is held."""


def column(source: Source, name: str, rows: Rows) -> Values:
    """Values of a column for the rows of a view; if these are in few blocks, it reads no others.

    The column is read as a whole, and held, for a view of half of it, or once as many rows were
    read as it has.
    """
    stored = source.stored(name)
    n_rows = _rows_to_read(stored, name, rows)
    if n_rows is not None:
        _read_before.setdefault(stored, {})[name] = n_rows
        return _values_of_rows(stored, name, row_numbers.as_array(rows))
    held = _held(source, name)
    if isinstance(held, np.ndarray) and isinstance(rows, range) and len(rows):
        values = held[rows.start : rows.stop if rows.stop >= 0 else None : rows.step]
    else:
        values = _looked_up(source, name, row_numbers.as_array(rows))
    return _as_stored(values, source.schema[name].dtype)


def _looked_up(source: Source, name: str, rows: npt.NDArray[np.integer[Any]]) -> Values:
    """Values of a column that is held in memory."""
    held = _held(source, name)
    if isinstance(held, np.ndarray):
        values: Values = held[rows]
        return values
    return _exact(held.take(pa.array(rows)), rows, source.stored(name), name)


def _rows_to_read(source: Source, name: str, rows: Rows) -> int | None:
    """Count the rows read if only blocks of a view are, too; None if all should be."""
    before = _read_before.get(source, {}).get(name, 0)
    if source.blocks is None or not len(rows) or before >= source.n_rows:
        return None
    blocks = row_numbers.blocks_of(rows, source.blocks)
    n_rows = int(np.diff(source.blocks)[blocks].sum())
    few = 2 * n_rows < source.n_rows and before + n_rows <= source.n_rows
    return before + n_rows if few and source.labels(name) is None else None


def _values_of_rows(source: Source, name: str, rows: npt.NDArray[np.integer[Any]]) -> Values:
    """Read a column of rows in any order."""
    distinct, places = np.unique(rows.astype(np.int64, copy=False), return_inverse=True)
    return _exact(_read(source, name, distinct), distinct, source, name)[places]


def _read(source: Source, name: str, rows: IntArray) -> Column:
    """Read a column of ascending rows."""
    return declared(source, source.read(rows, [name]), rows)[name]


def _exact(values: Column, rows: npt.NDArray[Any], source: Source, name: str) -> Values:
    """Convert values of rows; raise for whole numbers that a missing one would make others."""
    array = as_numpy(values)
    if has_gaps(values):
        check_exact(array, lambda i: f"{name!r} of {source.row_name(int(rows[i]))}")
    return array


def _as_stored(values: Values, stored: str) -> Values:
    """Make whole numbers of those that are floats since a row elsewhere is missing."""
    if values.dtype.kind != "f" or not stored.startswith(("int", "uint", "bool")):
        return values
    return values if np.isnan(values).any() else values.astype(stored)


def values_of(source: Source, name: str, rows: Rows) -> Values:
    """Values of any column; text is read for the rows of the view alone, and not kept."""
    if source.schema[name].kind == "number" or source.labels(name) is not None:
        return column(source, name, rows)
    return _values_of_rows(source, name, row_numbers.as_array(rows))


def _once(find: Callable[[Source, str], Found]) -> Callable[[Source, str], Found]:
    """Find out something about a column once for all views, and hold it as long as its source."""
    held: WeakKeyDictionary[Source, dict[str, Found]] = WeakKeyDictionary()

    @functools.wraps(find)
    def found(source: Source, name: str) -> Found:
        source = source.stored(name)
        of_source = held.setdefault(source, {})
        if name not in of_source:
            of_source[name] = find(source, name)
        return of_source[name]

    return found


@_once
def _held(source: Source, name: str) -> Column:
    """All values of a column, not to be written to; in Arrow if NaN would change some."""
    values: Column = source.labels(name)
    if values is None:
        values = _read(source, name, np.arange(source.n_rows))
    _read_before.setdefault(source, {})[name] = source.n_rows
    array = as_numpy(values).view()
    if has_gaps(values) and rounded(array).any():
        return values.combine_chunks()
    array.flags.writeable = False
    return array


@_once
def classes_of(source: Source, name: str) -> Values:
    """Distinct values of a column of labels, ascending."""
    held = _held(source, name)
    known = held if isinstance(held, np.ndarray) else as_numpy(held.drop_null())
    return find_classes(known, source.name)


def find_classes(labels: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Find the distinct labels, ascending; to hash them is quicker than to sort all.

    Raises
    ------
    TypeError
        If there are text and numbers, which have no order, or something of neither kind.
    ValueError
        If one is missing; the message names the row.
    """
    if labels.dtype.kind in "iu" and labels.dtype.isnative:
        return np.sort(pc.unique(pa.array(labels.ravel())).to_numpy(zero_copy_only=False))
    if labels.dtype != object:
        return np.unique(labels)
    distinct = set(labels.flat)
    if any(is_missing(label) for label in distinct):
        row = next(i for i, label in enumerate(labels.flat) if is_missing(label))
        raise ValueError(f"A label is missing in row {row} of {name}. Leave out such rows.")
    _check_one_type(distinct, name)
    return np.array(sorted(distinct), dtype=object)


def _check_one_type(labels: set[Any], name: str) -> None:
    """Refuse text beside numbers, which have no order."""
    kinds = {type(label) for label in labels}
    if len([one for one in (str, Number) if any(issubclass(kind, one) for kind in kinds)]) > 1:
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(
            f"{name} has labels of several types, {names}; wanted text alone or numbers alone. "
            "Convert them, for example to text: [str(label) for label in y]."
        )
