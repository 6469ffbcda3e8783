"""Rows of Python objects, as cursors give them, to Arrow: of the types that all rows have.

A first pass writes chunks of rows to disk, each of its own types; then all chunks are cast to
types that hold the values of all. What would be lost, or mixes text and numbers, is an error.
"""

import bisect
import datetime
import decimal
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._arrow.stream_copy import Spill, Stream, with_bar
from sklearnish.data._shown import shown

NO_ROWS = "the statement gives no rows. Pass a query, such as SELECT."

_FIRST_ROWS, _MOST_ROWS = 256, 65_536
_CHUNK_NBYTES = 2**21
"""Bytes that a chunk of rows takes in Arrow; as objects it takes some ten times as many."""

_NUMBERS = ({int, float}, {int, decimal.Decimal})
"""Types of which one column may hold both."""

_DIGITS = pa.decimal128(19, 0)
"""What holds a whole number of 64 bits among decimals."""

Kind = Any
"""The type of a value; of times, also whether they have a zone."""


@dataclass(frozen=True)
class Result:
    """What a cursor gives: names of columns, None if there are none, and the next rows."""

    names: Sequence[str] | None
    fetch: Callable[[int], Sequence[Any]]


def typed(result: Result, opened: ExitStack) -> Stream:
    """Read all rows, and give them as tables of one schema.

    Raises
    ------
    ValueError
        There are no columns, two have one name, or one holds values of several types.
    """
    if result.names is None:
        raise ValueError(NO_ROWS)
    arrow.check_names(result.names, "the result")
    columns = [_Column(name) for name in result.names]
    spill, n_rows = Spill(opened), 0
    for table in with_bar(_tables(result, columns), "reading the result"):
        spill.add(table)
        n_rows += table.num_rows
    schema = pa.schema([(column.name, column.dtype) for column in columns])
    return schema, _cast(spill, columns, schema)


def _tables(result: Result, columns: Sequence["_Column"]) -> Iterator[Any]:
    """Yield chunks of rows, of about the same size in bytes."""
    start, n = 0, _FIRST_ROWS
    while rows := result.fetch(n):
        if isinstance(rows[0], Mapping):  # as a row factory makes them
            rows = [tuple(row.values()) for row in rows]
        values = list(zip(*rows, strict=True))
        arrays = [
            column.to_arrow(part, start) for column, part in zip(columns, values, strict=True)
        ]
        table = pa.Table.from_arrays(arrays, names=[column.name for column in columns])
        yield table
        start += len(rows)
        fitting = int(_CHUNK_NBYTES * table.num_rows / max(1, table.nbytes))
        n = max(1, min(4 * n, fitting, _MOST_ROWS))


def _cast(spill: Spill, columns: Sequence["_Column"], schema: Any) -> Iterator[Any]:
    """Give all chunks the types of all."""
    start = 0
    for table in spill:
        arrays = [column.cast(table[column.name], start) for column in columns]
        yield pa.Table.from_arrays(arrays, schema=schema)
        start += table.num_rows


class _Column:
    """A column of a result, and what is known of it so far."""

    def __init__(self, name: str) -> None:
        self.name, self.dtype = name, pa.null()
        self._seen: dict[Kind, tuple[int, Any]] = {}  # the first row of a kind, and its value

    def to_arrow(self, values: Sequence[Any], start: int) -> Any:
        """Convert some values to Arrow, in a type of their own."""
        self._look(values, start)
        try:
            array = pa.array(_finite(values) if decimal.Decimal in self._seen else values)
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            row = _odd_one(values)
            self._fail(f"{shown(values[row])} in row {start + row}", error)
        if decimal.Decimal in self._seen and pa.types.is_floating(array.type):
            self._check_digits(values, array, start)
        if pa.types.is_timestamp(array.type) and array.type.tz:
            array = array.cast(pa.timestamp(array.type.unit, "UTC"))  # zones may differ by chunk
        self._widen(array.type, values, start)
        return array

    def _look(self, values: Sequence[Any], start: int) -> None:
        """Note the kinds of values; refuse kinds that no column can hold together."""
        kinds = set(map(type, values)) - {type(None)}
        if datetime.datetime in kinds:
            kinds = set(map(_kind, values)) - {type(None)}
        for kind in kinds - self._seen.keys():
            row = next(i for i, value in enumerate(values) if _kind(value) == kind)
            self._seen[kind] = start + row, values[row]
        if len(self._seen) > 1 and self._seen.keys() not in _NUMBERS:
            self._mixed()

    def _check_digits(self, values: Sequence[Any], array: Any, start: int) -> None:
        """Refuse decimals that became others as floats, beside one that is no number."""
        for row, (value, made) in enumerate(zip(values, array.to_pylist(), strict=True)):
            finite = value is not None and math.isfinite(value)
            if finite and decimal.Decimal(repr(made)) != value:
                self._fail(
                    f"{shown(value)} in row {start + row}, which has more digits than the floats "
                    "that NaN or infinity beside it needs",
                    None,
                )

    def _mixed(self, error: Exception | None = None) -> NoReturn:
        """Refuse values of several kinds."""
        (one, a), (other, b) = sorted(self._seen.values(), key=lambda seen: seen[0])[:2]
        raise ValueError(
            f"Column {self.name!r} mixes {shown(a)} ({type(a).__name__}) in row {one} and "
            f"{shown(b)} ({type(b).__name__}) in row {other}. Give it one type in the "
            f'query: CAST("{self.name}" AS ...).'
        ) from error

    def _widen(self, dtype: Any, values: Sequence[Any], start: int) -> None:
        """Take a type that holds the values so far and these."""
        types = {self.dtype, dtype}
        if any(map(pa.types.is_decimal, types)):  # Arrow's own rule leaves too few digits
            types = {_DIGITS if pa.types.is_integer(t) else t for t in types}
        both = arrow.common(min(types, key=str), max(types, key=str))
        if both is None:
            row = next(i for i, value in enumerate(values) if value is not None)
            self._fail(f"{dtype} from row {start + row} on, and {self.dtype} before", None)
        self.dtype = both

    def cast(self, array: Any, start: int) -> Any:
        """Convert a chunk to the type of all; refuse numbers that would lose digits."""
        try:
            return _cast_exactly(array, self.dtype)
        except pa.ArrowException as error:
            row = next(i for i in range(len(array)) if not _casts(array[i : i + 1], self.dtype))
            self._fail(
                f"{shown(array[row].as_py())} in row {start + row}, not exactly a "
                f"{self.dtype}, which other rows need",
                error,
            )

    def _fail(self, what: str, error: Exception | None) -> NoReturn:
        """Refuse values of which Arrow makes no column."""
        raise ValueError(
            f"Column {self.name!r} cannot be read without loss: it holds {what}. Convert it in "
            f'the query: CAST("{self.name}" AS ...).'
        ) from error


def _kind(value: Any) -> Kind:
    """Return what must be the same in one column."""
    kind = type(value)
    return (kind, value.tzinfo is not None) if kind is datetime.datetime else kind


def _finite(values: Sequence[Any]) -> Sequence[Any]:
    """Make decimals floats where one is NaN or infinite, which Arrow's decimals cannot be."""
    if all(value is None or math.isfinite(value) for value in values):
        return values
    return [None if value is None else float(value) for value in values]


def _odd_one(values: Sequence[Any]) -> int:
    """Find a value because of which Arrow makes no column of some."""
    for suits in (_fits, _is_exact):
        for row, value in enumerate(values):
            if not suits(value):
                return row
    return bisect.bisect_left(range(len(values)), True, key=lambda i: not _fits(*values[: i + 1]))


def _fits(*values: Any) -> bool:
    """Tell whether Arrow has a type for values."""
    try:
        pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return False
    return True


def _is_exact(value: Any) -> bool:
    """Tell whether a float can be what a whole number is."""
    return not isinstance(value, int) or int(float(value)) == value


def _cast_exactly(array: Any, dtype: Any) -> Any:
    """Convert values; raise ArrowInvalid for decimals that would be others as floats, too."""
    made = arrow.cast(array, dtype)
    to_floats = pa.types.is_decimal(array.type) and pa.types.is_floating(dtype)
    if to_floats and made.cast(array.type) != array:
        raise pa.ArrowInvalid("digits are lost")
    return made


def _casts(array: Any, dtype: Any) -> bool:
    """Tell whether values fit a type."""
    try:
        _cast_exactly(array, dtype)
    except pa.ArrowException:
        return False
    return True
