"""Types of CSV columns, promoted over the whole file as pandas would read it."""

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._sources.csv.keywords import CsvOptions

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


class WrongTypeError(ValueError):
    """A value is not of the type of its column; another type is tried."""

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column


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
    if options.thousands and not pa.types.is_timestamp(candidate):
        texts = pc.replace_substring(texts, options.thousands, "")
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


def parsed_as(types: dict[str, Any], options: CsvOptions) -> dict[str, Any]:
    """Return the types that a parser is asked for, which knows no separator of thousands."""
    if options.thousands is None:
        return types
    return {name: pa.string() if _is_numeric(t) else t for name, t in types.items()}


def typed(batch: Any, types: dict[str, Any], options: CsvOptions) -> Any:
    """Make numbers of the texts of columns with separators of thousands.

    Raises
    ------
    WrongTypeError
        A text is no number.
    """
    if options.thousands is None:
        return batch
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if _is_numeric(types[name]):
            texts = pc.replace_substring(pc.utf8_trim(column, " \t"), options.thousands, "")
            texts = pc.replace_substring(texts, options.decimal, ".")
            try:
                column = pc.cast(texts, types[name])
            except pa.ArrowInvalid as error:
                raise WrongTypeError(f"column {name!r}: {error}.", name) from error
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _is_numeric(dtype: Any) -> bool:
    """Say whether a type is that of numbers."""
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))


def what_reads(texts: Any, place: int, decimal: str) -> str:
    """Say which keyword makes a number of a text, or a missing value, or leaves it out."""
    value, sign = texts[place].as_py(), "." if decimal == "," else ","
    if value.startswith("#"):
        return "scan_csv(..., comment='#') leaves out what follows a '#'"
    if _is_grouped(texts, place, sign):
        number = value.replace(sign, "").strip()
        return f"scan_csv(..., thousands={sign!r}) reads it as {number}"
    if re.fullmatch(_grouped(re.escape(decimal), re.escape(sign)), value):
        number = value.replace(decimal, "").replace(sign, ".").strip()
        return f"scan_csv(..., decimal={sign!r}, thousands={decimal!r}) reads it as {number}"
    missing = f"scan_csv(..., na_values=[{value!r}]) reads it as missing"
    if not _is_number(texts, re.escape(sign))[place].as_py():
        return missing
    return f"{missing}, and decimal={sign!r} reads numbers such as '1{sign}5'"


def _is_grouped(texts: Any, place: int, separator: str) -> bool:
    """Say whether a sign sets thousands apart in one text, and is the decimal sign of none."""
    grouped = pc.match_substring_regex(texts, _grouped(re.escape(separator)))
    other = pc.and_(_is_number(texts, re.escape(separator)), pc.invert(grouped))
    decimal = pc.and_(other, pc.match_substring(texts, separator))
    return bool(grouped[place].as_py()) and not pc.any(decimal).as_py()


def _grouped(separator: str, decimal: str = "") -> str:
    """Build the pattern of a number whose thousands are set apart, with such decimals if any."""
    decimals = rf"{decimal}\d+" if decimal else r"([.,]\d+)?"
    return rf"^\s*[+-]?\d{{1,3}}({separator}\d{{3}})+{decimals}\s*$"


def mostly_numbers(texts: Any) -> bool:
    """Say whether more than half of the texts are numbers, with points or commas."""
    grouped = pc.match_substring_regex(texts, _grouped("[.,]"))
    numbers = pc.sum(pc.or_(_is_number(texts, "[.,]"), grouped)).as_py() or 0
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


def first_that_fails(texts: Any, dtype: Any) -> str:
    """Find the first text that is no value of a type, one of which is not."""
    good, bad = 0, len(texts)  # so many from the beginning are values, or are not all
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            pc.cast(texts.slice(0, middle), dtype)
            good = middle
        except pa.ArrowInvalid:
            bad = middle
    return str(texts[bad - 1].as_py())
