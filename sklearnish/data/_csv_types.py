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


def _any(texts: Any, pattern: str) -> bool:
    """Say whether a pattern occurs in any text."""
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())
