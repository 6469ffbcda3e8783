"""Tables of any library: their rows, and results like them."""

from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.utils.validation import check_array

from sklearnish.data import Dataset, as_dataset, is_no_array, mixed_as_objects
from sklearnish.preprocessing._encoding.values import WORDS, as_dates, family, readable, spelled

_TYPES = {
    "text": pa.string(),
    "date": pa.timestamp("s"),
    "instant": pa.timestamp("s", "UTC"),
    "list": pa.null(),
    "number": pa.float64(),
}
"""What a column of no values is taken for."""

_HINTS = {
    ("date", "instant"): ": in pandas, by df[name].dt.tz_localize(zone).",
    ("instant", "date"): ": in pandas, by df[name].dt.tz_localize(None).",
    ("text", "date"): ": by pd.to_datetime, or scan_csv(..., parse_dates=[name]).",
    ("text", "instant"): ": by pd.to_datetime(..., utc=True).",
}


def rows_of(X: Any) -> Dataset:
    """Make a Dataset of named columns."""
    if is_no_array(X):
        return _named(as_dataset(X))
    return with_names(check_array(mixed_as_objects(X), dtype=None, ensure_all_finite=False))


def with_names(array: npt.NDArray[Any]) -> Dataset:
    """Name the columns of an array x0, x1 and so on; objects become what they all are."""
    import pandas as pd

    names = [f"x{i}" for i in range(array.shape[1])]
    frame = pd.DataFrame(array, columns=names, copy=False)
    return as_dataset(frame.infer_objects() if array.dtype == object else frame)


def _named(dataset: Dataset) -> Dataset:
    """Refuse rows without columns.

    Raises
    ------
    TypeError
        If the columns have no names.
    """
    if hasattr(dataset, "columns"):
        return dataset
    raise TypeError(
        f"TableEncoder takes tables, and {dataset.source.name} has no named columns. Pass a "
        "DataFrame, an array, or a Dataset of Parquet or CSV files."
    )


def declared(X: Any) -> dict[str, str]:
    """Return the columns of pandas that are categories by their type, except those of dates."""
    if not nw.dependencies.is_pandas_dataframe(X):
        return {}
    return {
        str(name): "category"
        for name, dtype in X.dtypes.items()
        if dtype == "category" and not _are_dates(dtype.categories.dtype)
    }


def _are_dates(dtype: Any) -> bool:
    """Say whether a type of pandas or NumPy is that of dates or periods."""
    return dtype.kind == "M" or str(dtype).startswith("period")


def frame_like(
    X: Any, matrix: npt.NDArray[np.float32], names: list[str], wanted: Any = "default"
) -> Any:
    """Make a DataFrame of the library that is wanted, by default that of X; else an array."""
    if wanted == "default":
        if not nw.dependencies.is_into_dataframe(X):
            return matrix
        wanted = nw.from_native(X, eager_only=True).implementation.value
    if wanted == "pandas":
        import pandas as pd

        index = X.index if nw.dependencies.is_pandas_dataframe(X) else None
        return pd.DataFrame(matrix, index=index, columns=names, copy=False)
    return nw.from_numpy(matrix, schema=names, backend=wanted).to_native()


def column_of(table: pa.Table, name: str, wanted: str, where: str) -> Any:
    """Take a column out of a table; one without any value may be of any type.

    Raises
    ------
    ValueError
        If its values are of another family than elsewhere.
    """
    column = readable(table.column(name))
    if family(column.type) == wanted:
        return column
    if wanted in ("date", "instant") and family(column.type) == "text":
        dates = as_dates(column)
        if dates is not None and family(dates.type) == wanted:
            return dates
    if column.is_null(nan_is_null=True).true_count == len(column):
        return pa.nulls(len(column), _TYPES[wanted])
    raise ValueError(
        f"Column {name!r} holds {spelled(column.type)}, but {WORDS[wanted]} {where}. Convert it to "
        f"what it is there{_HINTS.get((family(column.type), wanted), '.')}"
    )
