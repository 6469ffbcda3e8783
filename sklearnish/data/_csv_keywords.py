"""The keywords of ``pandas.read_csv`` that ``scan_csv`` understands."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

_PANDAS_NA = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
_COMPRESSIONS = ("infer", None, "gzip", "bz2", "zstd", "lz4")
SUPPORTED = (
    "sep", "delimiter", "header", "names", "index_col", "usecols", "dtype", "true_values",
    "false_values", "skipinitialspace", "skiprows", "nrows", "na_values", "keep_default_na",
    "parse_dates", "compression", "decimal", "quotechar", "quoting", "doublequote", "escapechar",
    "comment", "encoding",
)  # fmt: skip


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
    na: tuple[str, ...] = _PANDAS_NA
    parse_dates: tuple[int | str, ...] = ()
    compression: str | None = "infer"
    decimal: str = "."
    quote: str | None = '"'
    doublequote: bool = True
    escapechar: str | None = None
    comment: str | None = None
    encoding: str = "utf8"

    def as_json(self) -> dict[str, Any]:
        """Return the options as JSON can hold them."""
        return asdict(self)

    def chosen_type(self, name: str) -> Any:
        """Return the Arrow type that ``dtype`` asks for, or None."""
        asked = self.dtype.get(name, self.all_dtypes)
        return None if asked is None else arrow_type(asked)


def read_keywords(keywords: Mapping[str, Any]) -> CsvOptions:
    """Check keywords of ``pandas.read_csv``.

    Raises
    ------
    TypeError
        A keyword, or the form of its value, is not supported.
    ValueError
        A value is out of range.
    """
    unknown = [name for name in keywords if name not in SUPPORTED]
    if unknown:
        raise TypeError(
            f"scan_csv does not know the keyword {unknown[0]!r}. "
            f"Of pandas.read_csv it supports: {', '.join(SUPPORTED)}."
        )
    if "sep" in keywords and "delimiter" in keywords:
        raise TypeError("give sep or delimiter, not both.")
    found: dict[str, Any] = {}
    for name, value in keywords.items():
        found.update(_READERS[name](name, value))
    if "names" in keywords and keywords.get("header", "infer") == "infer":
        found["header"] = None  # as pandas: names mean that the file has no header
    if not keywords.get("keep_default_na", True):
        found["na"] = found.get("na", _PANDAS_NA)[len(_PANDAS_NA) :]
    return CsvOptions(**found)


def arrow_type(asked: str) -> Any:
    """Translate a dtype by name, as NumPy, pandas or Arrow spell it."""
    if asked in ("str", "object", "category", "string", "U", "O"):
        return pa.string()
    try:
        return pa.from_numpy_dtype(np.dtype(asked.lower() if asked != "boolean" else "bool"))
    except (TypeError, pa.ArrowException):
        pass
    try:
        return pa.type_for_alias(asked)
    except ValueError:
        raise TypeError(f"dtype {asked!r} is not supported by scan_csv.") from None


def _dtype_name(dtype: Any) -> str:
    """Name a dtype given as a type, a string or a dtype object."""
    if isinstance(dtype, type) and not issubclass(dtype, np.generic):
        dtype = {str: "str", int: "int64", float: "float64", bool: "bool"}.get(dtype, dtype)
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None)
    if name is None and isinstance(dtype, type) and issubclass(dtype, np.generic):
        name = np.dtype(dtype).name
    name = {"int": "int64", "float": "float64", "str_": "str"}.get(str(name), str(name))
    arrow_type(name)
    return name


def _dtypes(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {"dtype": {str(k): _dtype_name(v) for k, v in value.items()}}
    return {"all_dtypes": _dtype_name(value)}


def _char(key: str, optional: bool = False) -> Callable[[str, Any], dict[str, Any]]:
    """Make a reader of one ASCII character."""

    def read(name: str, value: Any) -> dict[str, Any]:
        if optional and value is None:
            return {key: None}
        if not isinstance(value, str) or len(value) != 1 or not value.isascii():
            raise ValueError(f"{name} must be one ASCII character, got {value!r}.")
        return {key: value}

    return read


def _flag(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return {name: bool(value)}


def _count(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise TypeError(f"{name} must be a number of rows (an int, not negative), got {value!r}.")
    return {name: int(value)}


def _header(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {"header": None}
    return {} if isinstance(value, str) and value == "infer" else _count(name, value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray | set) and not isinstance(value, str)


def _columns(name: str, value: Any) -> dict[str, Any]:
    """Read names or numbers of columns."""
    if value is None or value is False:
        return {}
    if isinstance(value, str | int) and name != "usecols" and value is not True:
        value = [value]
    if not _is_list(value) or not all(isinstance(v, str | int | np.integer) for v in value):
        raise TypeError(f"{name} must be a list of column names or numbers, got {value!r}.")
    return {name: tuple(v if isinstance(v, str) else int(v) for v in value)}


def _names(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not _is_list(value):
        raise TypeError(f"names must be a list of column names, got {value!r}.")
    return {"names": tuple(str(v) for v in value)}


def _words(name: str, value: Any) -> dict[str, Any]:
    """Read further spellings of true or false."""
    if value is None:
        return {}
    return {name: (*getattr(CsvOptions, name), *(str(v) for v in value))}


def _na(name: str, value: Any) -> dict[str, Any]:
    """Read further spellings of a missing value; a number counts in both spellings."""
    if isinstance(value, Mapping):
        raise TypeError("na_values must be a value or a list: one per column is not supported.")
    values = [] if value is None else list(value) if _is_list(value) else [value]
    spelled: list[str] = []
    for v in values:
        spelled.append(str(v))
        if isinstance(v, int | float | np.number) and float(v).is_integer():
            spelled += [str(int(v)), f"{int(v)}.0"]
    return {"na": (*_PANDAS_NA, *spelled)}


def _quoting(name: str, value: Any) -> dict[str, Any]:
    if value not in (0, 3):
        raise TypeError("quoting must be csv.QUOTE_MINIMAL (0) or csv.QUOTE_NONE (3).")
    return {"quote": None} if value == 3 else {}


def _compression(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, str | None) or value not in _COMPRESSIONS:
        raise TypeError(f"compression must be one of {_COMPRESSIONS}, got {value!r}.")
    return {"compression": value}


def _encoding(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    try:
        "".encode(value)
    except (LookupError, TypeError) as error:
        raise ValueError(f"encoding {value!r} is unknown.") from error
    plain = value.lower().replace("_", "-") in ("utf8", "utf-8", "utf-8-sig", "ascii")
    return {"encoding": "utf8" if plain else value}


_READERS: dict[str, Callable[[str, Any], dict[str, Any]]] = {
    "sep": _char("sep"),
    "delimiter": _char("sep"),
    "header": _header,
    "names": _names,
    "index_col": _columns,
    "usecols": _columns,
    "dtype": _dtypes,
    "true_values": _words,
    "false_values": _words,
    "skipinitialspace": _flag,
    "skiprows": _count,
    "nrows": _count,
    "na_values": _na,
    "keep_default_na": lambda name, value: {},
    "parse_dates": _columns,
    "compression": _compression,
    "decimal": _char("decimal"),
    "quotechar": _char("quote"),
    "quoting": _quoting,
    "doublequote": _flag,
    "escapechar": _char("escapechar", optional=True),
    "comment": _char("comment", optional=True),
    "encoding": _encoding,
}
