"""Windows over a series: a source whose rows are stretches of neighbouring rows of another.

A window shares most of its rows with the one beside it. Nothing is copied: where a file is read in
blocks, each row of a fetch is read once, and then stands in all windows that hold it.
"""

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch

from sklearnish.data._arrow.frames import is_missing
from sklearnish.data._shown import shown
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._views import row_numbers
from sklearnish.data._views.columns import check_numeric, column_names
from sklearnish.data._views.inputs import Inputs
from sklearnish.data._views.labels import Labels, values_of
from sklearnish.data._views.row_numbers import Rows
from sklearnish.data._views.view import View
from sklearnish.data._whole import is_whole

V = TypeVar("V", bound=View)


def windows_of(view: V, length: int, horizon: Any, stride: int, groups: str | None) -> V:
    """Make a view whose rows are windows of another; its labels lie behind the windows.

    Raises
    ------
    ValueError
        If the rows are no series, a parameter is out of range, or there is no window.
    """
    _check_whole("length", length, 1)
    _check_whole("stride", stride, 1)
    steps = _steps(horizon)
    rows = _as_series(view, groups)
    span = length + (int(steps.max()) if view._target else 0)
    starts = _starts(view, groups, span, stride)
    labels = starts[:, None] + (length - 1) + steps if view._target else starts + (length - 1)
    target, weight = view.target, view.weight
    if target is not None:
        target = target[labels].reshape(len(starts), -1)
        target = target[:, 0] if target.shape[1] == 1 else target
    if weight is not None:
        weight = weight[labels].reshape(len(starts), -1).mean(1)
    source = WindowSource(rows, _regular(starts, stride), length, span, stride)
    made = replace(
        view,
        source=source,
        _rows=range(source.n_rows),
        _inputs=Inputs(None, asked=view._inputs.asked),
        _target=Labels(),
        _weight=Labels(),
    )
    return made.with_target(target).with_weight(weight)


def _check_whole(name: str, value: Any, least: int) -> None:
    """Refuse what is not a whole number of at least so many."""
    if not is_whole(value, least):
        raise ValueError(f"{name} must be an integer of at least {least}, got {shown(value)}.")


def _steps(horizon: Any) -> IntArray:
    """List how many rows after the last one of a window its labels lie."""
    steps = list(horizon) if isinstance(horizon, Iterable) else [horizon]
    for step in steps or [None]:
        _check_whole("horizon", step, 0)
    return np.array(steps, dtype=np.int64)


def _as_series(view: View, groups: str | None) -> View:
    """Take the features of neighbouring rows, in a type that holds what is stored.

    Raises
    ------
    ValueError
        If rows are in another order or some are left out, functions of tensors were applied, or
        features are no numbers.
    """
    rows = view.rows
    if len(rows) and not (rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())):
        raise ValueError(
            "Windows are made of neighbouring rows, in the order of the series, but this view "
            "leaves rows out or has them in another order. Make windows of all rows first, "
            "ds.windows(...), and then pick windows."
        )
    if view.transforms or isinstance(view.source, WindowSource):
        raise ValueError(
            "windows comes once, and before map and map_batches, which are then given windows; "
            "map_frames may come before it."
        )
    if view._inputs.names is not None:
        if groups in view._inputs.names:
            others = tuple(name for name in view._inputs.names if name != groups)
            view = view._with_inputs(names=others)
        check_numeric(view.source, view._inputs.names or ())
    elif view.source.schema["X"].kind != "number":
        raise ValueError(f"The rows of {view.source.name} are no arrays of numbers.")
    if 0 in view.row_shape:
        raise ValueError(f"The view of {view.source.name} has no columns to make windows of.")
    first = int(rows[0]) if len(rows) else 0
    return replace(view._as_stored(), _rows=range(first, first + len(rows)))


def _starts(view: View, groups: str | None, span: int, stride: int) -> IntArray:
    """List the first rows of all windows, none of which spans two series.

    Raises
    ------
    ValueError
        If there is none.
    """
    bounds = np.array([0, len(view)]) if groups is None else _series(view, groups)
    lasts = zip(bounds[:-1], bounds[1:] - span + 1, strict=True)
    starts = [np.arange(first, max(first, end), stride, dtype=np.int64) for first, end in lasts]
    found = np.concatenate(starts)
    if not len(found):
        longest = int(np.diff(bounds).max(initial=0))
        raise ValueError(
            f"There is no window: with its target it takes {span} rows, and "
            f"{'the longest series' if groups else view.source.name} has {longest}. Choose a "
            "smaller length or horizon."
        )
    return found


def _series(view: View, groups: str) -> IntArray:
    """Find where the series begin and end.

    Raises
    ------
    ValueError
        If the rows of one lie in several places, or a row says no series.
    """
    column_names(view.source, [groups])
    values = values_of(view.source, groups, view._rows)
    borders = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = np.concatenate([[0], borders, [len(values)]])
    unknown = next((int(i) for i in bounds[:-1] if is_missing(values[i])), None)
    if unknown is not None:
        raise ValueError(
            f"The value of column {groups!r} is missing in {view._name_row(unknown)}, so that its "
            "series is not known. Fill it in, or take such rows out of the table."
        )
    names, counts = np.unique(values[bounds[:-1]], return_counts=True)
    if counts.max(initial=0) > 1:
        name = shown(names[counts > 1][0].item() if names.dtype != object else names[counts > 1][0])
        raise ValueError(
            f"The rows of the series {name} in column {groups!r} are not next to each other. Sort "
            f"the table by {groups!r}, and by time within a series."
        )
    return bounds


def _regular(starts: IntArray, stride: int) -> Rows:
    """Write regular starts as a range, which takes no memory."""
    first, last = int(starts[0]), int(starts[-1])
    regular = last - first == (len(starts) - 1) * stride
    return range(first, last + 1, stride) if regular else starts


def last_windows(view: View, n: int) -> tuple[IntArray, IntArray]:
    """Split a view of windows into the last ones and those before that share no row with them.

    Parameters
    ----------
    view : View
        Windows, in any order.
    n : int
        How many are the last ones.

    Returns
    -------
    (ndarray of int64, ndarray of int64)
        Positions in the view, ascending: those before, and the last ones.
    """
    source = view.source
    assert isinstance(source, WindowSource)
    starts = source.starts(view.rows.astype(np.int64))
    last = np.sort(np.argsort(starts, kind="stable")[len(view) - n :])
    return np.flatnonzero(starts + source.span <= starts[last].min()), last


class WindowSource(Source):
    """Windows over the rows of a view.

    The other columns of a table can be asked for: they are those of the last row of a window.

    Parameters
    ----------
    rows : View
        Neighbouring rows of numbers; nothing but features is read of them.
    starts : range or ndarray of int64
        The first row of each window, ascending.
    length : int
        Rows of a window.
    span : int
        Rows from its first to the last of its labels.
    stride : int
        Rows between two windows.
    """

    tabular = False

    def __init__(self, rows: View, starts: Rows, length: int, span: int, stride: int) -> None:
        self._starts, self.length, self.span = starts, int(length), int(span)
        self.gap = math.ceil(span / stride) - 1
        self._field = Field(rows.dtype.name, "number", (self.length, *rows.row_shape))
        self._start(rows)

    def _start(self, rows: View) -> None:
        """Take over what is true of the rows."""
        self._view, source = rows, rows.source
        self.name, self.n_rows = f"windows over {source.name}", len(self._starts)
        self.in_memory, self.work, self.functions = source.in_memory, source.work, source.functions
        self.by_numbers = source.in_memory or source.by_numbers
        self.uses_global_generators = False  # rows are drawn by their numbers
        self.row_seconds = source.row_seconds
        self.blocks = self._find_blocks()
        others = source.schema if source.tabular else {}
        self.schema = {n: f for n, f in others.items() if n != "X"} | {"X": self._field}

    def _find_blocks(self) -> IntArray | None:
        """Find which windows begin in the same block."""
        blocks = self._view.source.blocks
        if blocks is None:
            return None
        borders = row_numbers.offsets(self._view._rows, blocks)
        inner = row_numbers.offsets(self._starts, borders)
        return np.unique(np.concatenate([[0], inner, [self.n_rows]]))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what does not follow from the rows."""
        kept = ("_view", "_starts", "_field", "length", "span", "gap")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up the pickled state."""
        self.__dict__.update(state)
        self._start(self._view)

    def over(self, source: Source) -> "WindowSource":
        """Return windows over the same rows in another place."""
        made = copy.copy(self)
        made._start(replace(self._view, source=source))
        return made

    @property
    def inner(self) -> tuple[Source, tuple[str, ...]]:
        """Where the rows are stored, and the columns that windows have."""
        return self._view.source, self._view._inputs.names or ()

    @property
    def inner_blocks(self) -> IntArray:
        """Numbers of the blocks in which the rows are stored."""
        assert self._view.source.blocks is not None
        return row_numbers.blocks_of(self._view._rows, self._view.source.blocks)

    @property
    def files(self) -> Sequence[str]:
        """Files that the rows are read from."""
        return getattr(self._view.source, "files", ())

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Read windows, each row of a file once."""
        starts = self.starts(rows)
        return {n: self._read(starts) if n == "X" else self._last(starts, n) for n in columns}

    def starts(self, rows: IntArray) -> IntArray:
        """Look up the first rows of windows, by their place in the series."""
        return row_numbers.take(self._starts, rows)

    def _read(self, starts: IntArray) -> torch.Tensor:
        """Read the windows that begin at these rows."""
        each = np.arange(self.length)
        if self._view.source.blocks is None:
            X = self._features((starts[:, None] + each).ravel())
            return X.reshape(len(starts), *self._field.shape)
        # Ascending windows: what each has beside the rows of the one before, put end to end.
        new = np.minimum(np.diff(starts, prepend=starts[:1] - self.length), self.length)
        ends = np.cumsum(new)
        X = self._features(np.repeat(starts + self.length - ends, new) + np.arange(new.sum()))
        return X[torch.from_numpy(ends[:, None] - self.length + each)]

    def _features(self, positions: IntArray) -> torch.Tensor:
        """Read the features of rows of the series."""
        X = self._view.read(positions).X
        assert isinstance(X, torch.Tensor)
        return X

    def _last(self, starts: IntArray, name: str) -> Column:
        """Read another column of the last row of each window."""
        rows = row_numbers.take(self._view._rows, starts + self.length - 1)
        return self._view.source.read(rows, [name])[name]

    def finer(self, rows: int) -> "WindowSource | None":
        """Return windows over rows in smaller blocks, if that needs no copy."""
        finer = self._view.source.finer(rows)
        return None if finer is None else self.over(finer)

    def row_name(self, row: int) -> str:
        """Name the first row of a window."""
        first = self._view._name_row(int(self.starts(np.array([row]))[0]))
        return f"the window of {self.length} rows from {first}"

    def value_name(self, row: int, index: Sequence[int]) -> str:
        """Say in which row and column a value of a window is stored."""
        start = int(self.starts(np.array([row]))[0])
        names, column = self._view._inputs.names, list(index[1:])
        feature = f"feature {column[0] if len(column) == 1 else tuple(column)}, " if column else ""
        if names is not None and len(names) == self._field.shape[-1]:
            feature = f"column {names[column[0]]!r}, "
        return feature + self._view._name_row(start + index[0])

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Return the rows as they are stored, and the windows."""
        inputs = self._view._inputs
        features = [inputs.names, inputs.picked, inputs.constants, str(inputs.dtype)]
        windows = [self._view._rows, self._starts, self.length]
        stored = self._view.source.identity()
        return type(self), {"source": stored, "features": features, "windows": windows}

    def check_unchanged(self) -> None:
        """Ask the source."""
        self._view.source.check_unchanged()
