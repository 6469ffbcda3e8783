"""The keywords of ``pandas.read_csv`` that ``scan_csv`` understands."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from sklearnish.data._whole import is_whole

PANDAS_NA = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
_COMPRESSIONS = ("infer", None, "gzip", "bz2", "zstd", "lz4", "xz", "zip")
_CALLED = {"delimiter": "sep", "quotechar": "quote", "na_values": "na"}
_DTYPES = {
    "int": "int64",
    "float": "float64",
    "boolean": "bool",
    "str_": "str",
    "object_": "object",
}
_OPTIONAL = {
    *("names", "index_col", "usecols", "dtype", "true_values", "false_values", "skiprows", "nrows"),
    *("na_values", "parse_dates", "thousands", "escapechar", "comment", "encoding"),
}
"""Keywords that are None where they are not given."""


@dataclass(frozen=True)
class CsvOptions:
    """Checked keywords, in the form that the conversion uses."""

    sep: str = ","
    header: int | None = 0
    names: tuple[str, ...] | None = None
    index_col: tuple[int | str, ...] = ()
    usecols: tuple[int | str, ...] | None = None
    dtype: dict[str, str] = field(default_factory=dict)
    all_dtypes: str | None = None
    true_values: tuple[str, ...] = ("True", "TRUE", "true")
    false_values: tuple[str, ...] = ("False", "FALSE", "false")
    skipinitialspace: bool = False
    skiprows: int = 0
    nrows: int | None = None
    na: tuple[str, ...] = PANDAS_NA
    parse_dates: tuple[int | str, ...] = ()
    compression: str | None = "infer"
    decimal: str = "."
    thousands: str | None = None
    quote: str | None = '"'
    doublequote: bool = True
    escapechar: str | None = None
    comment: str | None = None
    encoding: str = "utf8"

    def chosen_type(self, name: str) -> Any:
        """Return the Arrow type that ``dtype`` asks for, or None."""
        asked = self.dtype.get(name, self.all_dtypes)
        return None if asked is None else _arrow_type(asked)


def read_keywords(keywords: Mapping[str, Any]) -> CsvOptions:
    """Check keywords of ``pandas.read_csv``.

    Raises
    ------
    TypeError
        A keyword, or the form of its value, is not supported.
    ValueError
        A value is out of range.
    """
    if unknown := [name for name in keywords if name not in _READERS]:
        raise TypeError(
            f"scan_csv does not know the keyword {unknown[0]!r}. "
            f"Of pandas.read_csv it supports: {', '.join(_READERS)}."
        )
    if "sep" in keywords and "delimiter" in keywords:
        raise TypeError("give sep or delimiter, not both.")
    found: dict[str, Any] = {}
    for name, value in keywords.items():
        if value is not None or name not in _OPTIONAL:
            found[_CALLED.get(name, name)] = _READERS[name](name, value)
    if "names" in keywords and keywords.get("header", "infer") == "infer":
        found["header"] = None  # as pandas: names mean that the file has no header
    if not found.pop("keep_default_na", True):
        found["na"] = found.get("na", PANDAS_NA)[len(PANDAS_NA) :]
    if found.pop("quoting", None):
        found["quote"] = None
    if isinstance(found.get("dtype"), str):
        found["all_dtypes"] = found.pop("dtype")
    if found.get("thousands") == found.get("decimal", "."):
        raise ValueError(f"thousands and decimal are both {found['thousands']!r}.")
    return CsvOptions(**found)


def _arrow_type(asked: str) -> Any:
    """Translate a dtype by name, as NumPy, pandas or Arrow spell it."""
    if asked in ("str", "object", "category", "string", "U", "O"):
        return pa.string()
    try:
        return pa.from_numpy_dtype(np.dtype(asked.lower()))
    except (TypeError, pa.ArrowException):
        pass
    try:
        return pa.type_for_alias(asked)
    except ValueError:
        raise TypeError(f"dtype {asked!r} is not supported by scan_csv.") from None


def _dtype_name(dtype: Any) -> str:
    """Name a dtype given as a type, a string or a dtype object."""
    name = str(getattr(dtype, "name", None) or getattr(dtype, "__name__", dtype))
    name = _DTYPES.get(name, name)
    _arrow_type(name)
    return name


def _dtypes(name: str, value: Any) -> str | dict[str, str]:
    if isinstance(value, Mapping):
        return {str(k): _dtype_name(v) for k, v in value.items()}
    return _dtype_name(value)


def _char(name: str, value: Any) -> str:
    """Read one ASCII character."""
    if not isinstance(value, str) or len(value) != 1 or not value.isascii():
        raise ValueError(f"{name} must be one ASCII character, got {value!r}.")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def _count(name: str, value: Any) -> int:
    if not is_whole(value, 0):
        raise TypeError(f"{name} must be a number of rows (an int, not negative), got {value!r}.")
    return int(value)


def _header(name: str, value: Any) -> int | None:
    if value is None:
        return None
    return 0 if isinstance(value, str) and value == "infer" else _count(name, value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray | set) and not isinstance(value, str)


def _columns(name: str, value: Any) -> Any:
    """Read names or numbers of columns."""
    if value is False:
        return getattr(CsvOptions, name)
    if isinstance(value, str | int) and name != "usecols" and value is not True:
        value = [value]
    if not _is_list(value) or not all(isinstance(v, str | int | np.integer) for v in value):
        raise TypeError(f"{name} must be a list of column names or numbers, got {value!r}.")
    return tuple(v if isinstance(v, str) else int(v) for v in value)


def _names(name: str, value: Any) -> tuple[str, ...]:
    if not _is_list(value):
        raise TypeError(f"names must be a list of column names, got {value!r}.")
    return tuple(map(str, value))


def _words(name: str, value: Any) -> tuple[str, ...]:
    """Read further spellings of true or false."""
    return (*getattr(CsvOptions, name), *map(str, value))


def _na(name: str, value: Any) -> tuple[str, ...]:
    """Read further spellings of a missing value; a number counts in both spellings."""
    if isinstance(value, Mapping):
        raise TypeError("na_values must be a value or a list: one per column is not supported.")
    spelled: list[str] = []
    for v in value if _is_list(value) else [value]:
        spelled.append(str(v))
        if isinstance(v, int | float | np.number) and float(v).is_integer():
            spelled += [str(int(v)), f"{int(v)}.0"]
    return (*PANDAS_NA, *spelled)


def _quoting(name: str, value: Any) -> bool:
    if value not in (0, 3):
        raise TypeError("quoting must be csv.QUOTE_MINIMAL (0) or csv.QUOTE_NONE (3).")
    return bool(value)


def _compression(name: str, value: Any) -> str | None:
    if not isinstance(value, str | None) or value not in _COMPRESSIONS:
        raise TypeError(f"compression must be one of {_COMPRESSIONS}, got {value!r}.")
    return value


def _encoding(name: str, value: Any) -> str:
    try:
        "".encode(value)
    except (LookupError, TypeError) as error:
        raise ValueError(f"encoding {value!r} is unknown.") from error
    plain = value.lower().replace("_", "-") in ("utf8", "utf-8", "utf-8-sig", "ascii")
    return "utf8" if plain else str(value)


_READERS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("sep", "delimiter"), _char),
    "header": _header,
    "names": _names,
    **dict.fromkeys(("index_col", "usecols"), _columns),
    "dtype": _dtypes,
    **dict.fromkeys(("true_values", "false_values"), _words),
    "skipinitialspace": _flag,
    **dict.fromkeys(("skiprows", "nrows"), _count),
    "na_values": _na,
    "keep_default_na": lambda name, value: bool(value),
    "parse_dates": _columns,
    "compression": _compression,
    **dict.fromkeys(("decimal", "thousands", "quotechar"), _char),
    "quoting": _quoting,
    "doublequote": _flag,
    **dict.fromkeys(("escapechar", "comment"), _char),
    "encoding": _encoding,
}
