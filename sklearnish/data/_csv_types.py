"""Types of CSV columns, promoted over the whole file as pandas would read it."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._csv_keywords import CsvOptions

NULL = pa.null()

_STEPS: dict[Any, list[Any]] = {
    NULL: [pa.bool_(), pa.int64(), pa.uint64(), pa.float64()],
    pa.bool_(): [pa.bool_()],
    pa.int64(): [pa.int64(), pa.float64()],
    pa.uint64(): [pa.uint64()],
    pa.float64(): [pa.float64()],
    pa.timestamp("us"): [pa.timestamp("us")],
    pa.string(): [],
}


def promote(dtype: Any, texts: Any, options: CsvOptions) -> Any:
    """Return the narrowest type, from ``dtype`` upwards, that holds the texts of a block."""
    texts = texts.drop_null()
    if not len(texts):
        return dtype
    for candidate in _STEPS[dtype]:
        # Arrow words an error for every text that does not fit: a few tell as much.
        if all(_fits(candidate, dtype, some, options) for some in (texts[:16], texts)):
            return candidate
    return pa.string()


def _fits(candidate: Any, dtype: Any, texts: Any, options: CsvOptions) -> bool:
    """Say whether all texts are values of a type, as pandas would read them."""
    if pa.types.is_boolean(candidate):
        words = pa.array([*options.true_values, *options.false_values])
        return bool(pc.all(pc.is_in(texts, words)).as_py())
    texts = pc.utf8_trim(texts, " \t")
    if pa.types.is_integer(candidate) and _any(texts, "[xX]"):
        return False  # Arrow reads 0x10 as 16
    if pa.types.is_floating(candidate):
        if dtype != candidate and _any(texts, r"^[+-]?\d{19,}$"):
            return False  # an identifier would lose its last digits
        if options.decimal != ".":
            if _any(texts, r"\."):
                return False
            texts = pc.replace_substring(texts, options.decimal, ".")
    try:
        pc.cast(texts, candidate)
    except pa.ArrowInvalid:
        return False
    return True


def mostly_numbers(texts: Any) -> bool:
    """Say whether more than half of the texts are numbers, with a point or a comma."""
    numbers = pc.sum(_is_number(texts, "[.,]")).as_py() or 0
    return bool(2 * numbers > len(texts) - texts.null_count)


def odd_one(texts: Any, decimal: str) -> int | None:
    """Find the first text that is not written as a number.

    Parameters
    ----------
    texts : pyarrow.ChunkedArray of string
        Null where a value is missing.
    decimal : str
        The sign before the decimals.

    Returns
    -------
    int or None
        Its place; None if all are numbers.
    """
    place = pc.index(_is_number(texts, f"[{decimal}]"), False).as_py()
    return None if place < 0 else int(place)


def _is_number(texts: Any, decimal: str) -> Any:
    """Say of each text whether it is written as a number; null where it is missing."""
    pattern = rf"^\s*[+-]?(\d+{decimal}?\d*|{decimal}\d+)([eE][+-]?\d+)?\s*$"
    return pc.match_substring_regex(texts, pattern)


def _any(texts: Any, pattern: str) -> bool:
    """Say whether a pattern occurs in any text."""
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())
