"""Arrow columns as NumPy numbers."""

from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]

_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
DAY = 86_400.0
WORDS = {
    "date": "dates",
    "instant": "dates with a time zone",
    "list": "lists",
    "number": "numbers",
    "text": "text",
}


def family(dtype: Any) -> str:
    """Sort Arrow types by what a column can become: of another family it is another column."""
    t = pa.types
    if t.is_dictionary(dtype):
        return family(dtype.value_type)
    if t.is_string(dtype) or t.is_large_string(dtype) or t.is_string_view(dtype):
        return "text"
    if t.is_timestamp(dtype) or t.is_date(dtype):
        return "instant" if zone_of(dtype) else "date"
    if t.is_fixed_size_list(dtype) or t.is_list(dtype) or t.is_large_list(dtype):
        return "list" if family(dtype.value_type) == "number" else "other"
    tests = (t.is_boolean, t.is_integer, t.is_floating, t.is_decimal, t.is_time, t.is_duration)
    return "number" if t.is_null(dtype) or any(test(dtype) for test in tests) else "other"


def readable(column: Any) -> Any:
    """Return a column of a table, in which periods are timestamps and intervals are categories."""
    column = flat(column)
    coded = pa.types.is_dictionary(column.type)
    kind = getattr(column.type.value_type if coded else column.type, "extension_name", "")
    if kind not in ("pandas.interval", "pandas.period"):
        return column
    if not coded:
        column = pa.array(column.to_pandas().astype("category"))
    levels = column.dictionary.to_pandas()
    levels = levels.dt.to_timestamp() if kind == "pandas.period" else levels.astype(str)
    return pa.DictionaryArray.from_arrays(column.indices, pa.array(levels))


def as_dates(column: Any) -> Any:
    """Return text as timestamps, with a time zone or without; None if it is something else."""
    if pa.types.is_dictionary(column.type):
        levels = as_dates(column.dictionary)
        return None if levels is None else pa.DictionaryArray.from_arrays(column.indices, levels)
    for dtype in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        with suppress(pa.ArrowInvalid):
            return column.cast(dtype)
    return None


def zone_of(dtype: Any) -> str:
    """Return the time zone of timestamps, "" if they have none."""
    dtype = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
    return (dtype.tz or "") if pa.types.is_timestamp(dtype) else ""


def in_zone(column: Any, zone: str) -> Any:
    """Return instants as those of another time zone; dates without one stay as they are."""
    dtype = column.type
    if pa.types.is_dictionary(dtype):
        return in_zone(column.cast(dtype.value_type), zone)
    return column.cast(pa.timestamp(dtype.unit, zone)) if zone else column


def spelled(dtype: Any) -> str:
    """Name an Arrow type in the words of who has the table."""
    return WORDS.get(family(dtype), str(dtype))


def numbers(column: Any) -> Floats:
    """Return numbers as they are, times and dates in seconds, NaN where there is no value.

    Dates are seconds since 1970, of clocks in their own time zone.
    """
    t, dtype = pa.types, column.type
    if t.is_dictionary(dtype):
        return numbers(column.cast(dtype.value_type))
    if t.is_timestamp(dtype) and dtype.tz:
        return numbers(pc.local_timestamp(column))
    if t.is_date32(dtype):
        return _floats(column.cast(pa.int32())) * DAY
    if t.is_date64(dtype):
        return _floats(column.cast(pa.int64())) / 1e3
    if t.is_timestamp(dtype) or t.is_time(dtype) or t.is_duration(dtype):
        whole = pa.int32() if t.is_time32(dtype) else pa.int64()
        return _floats(column.cast(whole)) / _PER_SECOND[dtype.unit]
    return _floats(column)


def _floats(column: Any) -> Floats:
    """Cast numbers; null is NaN."""
    plain = column if pa.types.is_float64(column.type) else column.cast(pa.float64(), safe=False)
    return np.asarray(plain.to_numpy(zero_copy_only=False))


def comparable(column: Any) -> Any:
    """Return a column in the type in which its values are counted and looked up.

    Text stays a dictionary if it is one, whole numbers keep all their digits, NaN is null.
    """
    t, dtype = pa.types, column.type
    if t.is_dictionary(dtype):
        return column if family(dtype) == "text" else comparable(column.cast(dtype.value_type))
    if t.is_boolean(dtype) or family(dtype) == "text":
        return column
    if t.is_integer(dtype) and not t.is_uint64(dtype):
        return column.cast(pa.int64())
    return pa.array(numbers(column) + 0.0, from_pandas=True)  # one zero, not two


def flat(column: Any) -> Any:
    """Return an array of a chunked array; of one chunk without a copy."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
