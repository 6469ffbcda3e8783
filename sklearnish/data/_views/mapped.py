"""Rows that pass through a function of frames whenever they are read: a source over a source.

What the function returns is what is stored, for all that stands above: names, types, labels.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy.typing as npt

from sklearnish.data._arrow.columns import check_names
from sklearnish.data._arrow.frames import to_frame
from sklearnish.data._functions.applying import apply_frame, noted
from sklearnish.data._functions.functions import FrameFunction
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._views.gather import read_columns
from sklearnish.data._views.inputs import Inputs
from sklearnish.data._views.made import (
    Made,
    agree,
    all_missing,
    equal,
    joined,
    made_of,
    missing,
    some_rows,
    spell,
)
from sklearnish.data._views.sample import various_rows
from sklearnish.data._views.view import View

V = TypeVar("V", bound=View)

_ROWS, _BYTES = 65_536, 2**26
"""Rows that a function is given at a time, and about how many bytes of them at most."""

_TRIED = 256
"""Rows on which a function is tried, to learn the names and types of its results."""

_EVEN = slice(None, None, 2)
"""Every other row of a chunk."""


def mapped(view: V, function: FrameFunction) -> V:
    """Pass the rows of a view through a function of frames.

    Raises
    ------
    ValueError
        If the view is no table, or the function cannot be used: the message says why.
    """
    check_table(view)
    tried = various_rows(view._rows, view.source, _TRIED)
    source = MappedSource(view.source, view._inputs, function, tried)
    labels = (*view._target.names, *view._weight.names)
    if clash := [name for name in labels if name in source.made]:
        raise ValueError(
            f"{function.name} returns a column {clash[0]!r}, the name of the target or weight. "
            "Give it another name; functions of frames see and change features only."
        )
    names = tuple(source.made) if source.named else None
    return replace(view, source=source, _inputs=Inputs(names, asked=view._inputs.asked))


def check_table(view: View) -> None:
    """Refuse rows of which no frame can be made.

    Raises
    ------
    ValueError
        If functions of rows come first, or rows are no rows of a table.
    """
    if view.transforms:
        raise ValueError(
            "map_frames comes before map and map_batches, which make tensors of the columns."
        )
    names, field = view._inputs.names, view.source.schema.get("X")
    if names is None and (field is None or field.kind != "number" or len(field.shape) != 1):
        raise ValueError(f"The rows of {view.source.name} are not a table; use map or map_batches.")
    if 0 in view.row_shape:
        raise ValueError(f"The view of {view.source.name} has no columns. Select at least one.")
    check_names(names or (), f"the view of {view.source.name}")


class MappedSource(Source):
    """The rows of a source after a function of frames.

    Columns of the source keep their names beside those that the function makes, unless it makes
    one of that name: they may be labels.

    Parameters
    ----------
    source : Source
        Where rows are stored.
    inputs : Inputs
        What the function is given of them.
    function : FrameFunction
        Makes other columns.
    rows : ndarray of int64
        Some rows, ascending, on which the function is tried.

    Attributes
    ----------
    made : dict of str to Field
        What the function returns: columns, or the field "X" of an array or a dict of arrays.
    named : bool
        Whether they are columns.
    """

    made: dict[str, Field]
    named = True

    def __init__(
        self, source: Source, inputs: Inputs, function: FrameFunction, rows: IntArray
    ) -> None:
        self._inputs = replace(inputs, constants=dict(inputs.constants))
        self._function = function
        self.made, self._none = {}, {}
        self._start(source)
        piece, columns = next(self._chunks(rows))
        first = self._run(columns, rows[piece])
        self.made, self.named = first.schema, first.named
        self._none = {name: some_rows(column, slice(0)) for name, column in first.columns.items()}
        half = len(rows[piece]) // 2
        for part in (
            slice(half),
            slice(half, None),
            _EVEN,
            slice(1, None, 2),
            slice(-1, None),
        ):
            self._check_by_row(columns, rows[piece], first, part)
        self._start(source)

    def _start(self, source: Source) -> None:
        """Take over what is true of the rows, however they are changed."""
        self._source, self._n_chunks = source, 0
        self.name, self.n_rows, self.blocks = source.name, source.n_rows, source.blocks
        self.functions = (*source.functions, self._function)
        self.by_numbers = source.in_memory or source.by_numbers
        self.tabular = source.tabular or self.named
        stored = (
            source.schema
            if source.tabular
            else {n: f for n, f in source.schema.items() if n != "X"}
        )
        self.schema = {**stored, **self.made}
        self.left_out = source.left_out

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what does not follow from the source."""
        kept = ("_source", "_inputs", "_function", "_none", "made", "named")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up the pickled state."""
        self.__dict__.update(state)
        self._start(self._source)

    def over(self, source: Source) -> "MappedSource":
        """Return the same function of the same rows in another place."""
        made = copy.copy(self)
        made._start(source)
        return made

    @property
    def inner(self) -> tuple[Source, tuple[str, ...]]:
        """Where the rows are stored, and the columns that the function is given."""
        return self._source, self._inputs.names or ()

    @property
    def files(self) -> Sequence[str]:
        """Files that the rows are read from."""
        return getattr(self._source, "files", ())

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Read rows, and pass them through the function, chunk by chunk, if that is wanted."""
        kept = [name for name in columns if name not in self.made]
        found = self._source.read(rows, kept) if kept else {}
        if len(kept) < len(columns):
            found |= self._results(rows, [name for name in columns if name in self.made])
        return {name: found[name] for name in columns}

    def _results(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Join what the function makes of the chunks."""
        if not len(rows):
            return {name: self._none[name] for name in columns}
        pieces = [piece.columns for piece in self._pieces(rows)]
        return {name: joined([piece[name] for piece in pieces]) for name in columns}

    def _pieces(self, rows: IntArray) -> Iterator[Made]:
        """Run the function on chunk after chunk, and try it on the 1st, 2nd, 4th, 8th..."""
        for piece, columns in self._chunks(rows):
            made = self._run(columns, rows[piece])
            self._n_chunks += 1
            if self._n_chunks.bit_count() == 1:
                self._check_by_row(columns, rows[piece], made, _EVEN)
            yield made

    def _chunks(self, rows: IntArray) -> Iterator[tuple[slice, dict[str, Column]]]:
        """Read what the function is given, chunk after chunk."""
        names = self._inputs.names
        width = len(names) if names is not None else self._source.schema["X"].shape[0]
        most = max(1, min(_ROWS, _BYTES // (8 * width)))
        return read_columns(self._source, self._inputs, rows, most)

    def _run(self, columns: dict[str, Column], rows: IntArray) -> Made:
        """Run the function on one chunk, and check what it returns."""

        def name_row(i: int) -> str:
            return self._source.row_name(int(rows[i]))

        schema = self._inputs.columns(self._source)
        about = f"{len(rows)} rows, the first of them {{}}".format
        with noted(self._function, lambda: about(name_row(0))):
            frame = to_frame(columns, schema, self._function.frame, name_row)
            made = made_of(apply_frame(self._function, frame, rows), len(rows))
            if self.made:
                self._check_same(made)
        return made

    def _check_same(self, got: Made) -> None:
        """Refuse columns, or types of them, that differ from those of the first rows.

        Whole numbers and others are of one type: pandas changes it where one is missing.
        A column that is all missing gets the type.
        """
        for name in {**self.made, **got.schema}:
            if name not in got.schema or name not in self.made:
                there = "but not for these rows" if name in self.made else "for these rows alone"
                raise ValueError(
                    f"map_frames: the function returns a column {name!r}, {there}. Columns must be "
                    "the same for any rows: name categories instead of finding them in the rows, "
                    "as pandas.Categorical(values, categories=[...]) does."
                )
            one, other = self.made[name], got.schema[name]
            if agree(one, other):
                continue
            if not all_missing(got.columns[name]):
                raise ValueError(
                    f"map_frames: the function returns a column {name!r} of {spell(other)}, and "
                    f"of {spell(one)} for the first rows. Give it one type, as astype does."
                )
            got.columns[name] = missing(len(got.columns[name]), self._none[name])

    def _check_by_row(
        self, columns: dict[str, Column], rows: IntArray, whole: Made, part: slice
    ) -> None:
        """Refuse a function that makes something else of some rows of a chunk alone.

        Raises
        ------
        ValueError
            If it does; the message names the column.
        """
        some = {name: some_rows(column, part) for name, column in columns.items()}
        if not 0 < len(rows[part]) < len(rows):
            return
        alone = self._run(some, rows[part])
        for name, field in self.made.items():
            if not equal(some_rows(whole.columns[name], part), alone.columns[name], field):
                raise ValueError(
                    f"{self._function.name} returns other values of {name!r} for the same rows "
                    f"where it is given {len(rows[part])} rows than where it is given "
                    f"{len(rows)}. Rows are read in chunks of any size, so what is made of a row "
                    "must not depend on others, as means, ranks, cumulative sums and codes of "
                    "categories do, nor on random numbers. Compute a mean before, from "
                    "ds.column(name), and use it; name categories, "
                    "pandas.Categorical(values, categories=[...])."
                )

    def labels(self, column: str) -> npt.NDArray[Any] | None:
        """Return what the source knows of its columns."""
        return None if column in self.made else self._source.labels(column)

    def stored(self, column: str) -> Source:
        """Return where a column is stored."""
        return self if column in self.made else self._source.stored(column)

    def finer(self, rows: int) -> "MappedSource | None":
        """Return this source over smaller blocks, if that needs no copy."""
        finer = self._source.finer(rows)
        return None if finer is None else self.over(finer)

    def row_name(self, row: int) -> str:
        """Say where a row is stored."""
        return self._source.row_name(row)

    def why_text(self, column: str) -> str:
        """Ask the source about its columns."""
        return "" if column in self.made else self._source.why_text(column)

    def why_missing(self, row: int, columns: Sequence[str]) -> str:
        """Ask the source about the columns that the function is given."""
        return self._source.why_missing(row, [])

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Return the rows as they are stored, and the function."""
        inputs = [self._inputs.names, self._inputs.picked, self._inputs.constants]
        state = {"source": self._source.identity(), "inputs": inputs, "function": self._function}
        return type(self), state

    def check_unchanged(self) -> None:
        """Ask the source."""
        self._source.check_unchanged()
