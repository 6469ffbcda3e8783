"""What the features of a Dataset of Hugging Face mean, and their values as we deliver them."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._files.paths import is_url, without_credentials
from sklearnish.data._source import Column, Field, IntArray

_NAMED = pa.dictionary(pa.int32(), pa.string())


def is_a(feature: Any, *names: str) -> bool:
    """Say whether a feature is of one of the classes of the library."""
    library: Any = sys.modules["datasets"]
    return isinstance(feature, tuple(getattr(library, name) for name in names))


def is_image(feature: Any) -> bool:
    """Say whether a feature is an image."""
    return is_a(feature, "Image")


def is_class(feature: Any) -> bool:
    """Say whether a feature is a class, stored as its number."""
    return is_a(feature, "ClassLabel")


def is_label(feature: Any) -> bool:
    """Say whether a feature is one value."""
    return is_a(feature, "ClassLabel", "Value")


def array_shape(feature: Any) -> tuple[int, ...] | None:
    """Return the shape of an array in each row, None of anything else, or of any length."""
    if not is_a(feature, "Array2D", "Array3D", "Array4D", "Array5D"):
        return None
    shape = tuple(feature.shape)
    return None if None in shape else shape


def field_of(feature: Any, dtype: Any) -> Field:
    """Describe a column of a table; arrays are laid out in a row."""
    if is_class(feature):
        return arrow.to_field(_NAMED)
    shape = array_shape(feature)
    if shape is not None:
        return Field(feature.dtype, "number", (math.prod(shape),))
    return arrow.to_field(dtype)


def values_of(feature: Any, column: Any, shape: tuple[int, ...] | None = None) -> Column:
    """Convert a column as it is stored: classes to their names, arrays to those of NumPy."""
    if is_class(feature):
        return _named(column, feature.names)
    if shape is not None:
        return _arrays(column, shape)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def of_other_shape(feature: Any, column: Any) -> IntArray:
    """Find the arrays, by their places in a column, that are not of the shape of the feature."""
    places, values, n_lists = np.flatnonzero(column.is_valid()), _joined(column.drop_null()), 1
    bad = [places[:0]]
    for length in array_shape(feature) or ():
        lengths = pc.list_value_length(values).to_numpy(zero_copy_only=False)
        right = (lengths == length).reshape(-1, n_lists).all(axis=1)  # a missing one is NaN
        if not right.all():
            bad.append(places[~right])
            places, values = places[right], values.filter(pa.array(np.repeat(right, n_lists)))
        values, n_lists = values.flatten(), n_lists * length
    return np.sort(np.concatenate(bad))


def _joined(column: Any) -> Any:
    """Make one array of the chunks of a column."""
    values = column.combine_chunks()
    return pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values


def _named(column: Any, names: list[str]) -> Any:
    """Look up the names of classes; the number -1 stands for a missing label."""
    codes = column.combine_chunks().cast(pa.int32())
    codes = pc.if_else(pc.equal(codes, -1), pa.scalar(None, pa.int32()), codes)
    codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    return pa.chunked_array([pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))])


def _arrays(column: Any, shape: tuple[int, ...]) -> Any:
    """Make one array of nested lists; a missing one is NaN."""
    values, whole = _joined(column), len(column) - column.null_count
    known = values.is_valid().to_numpy(zero_copy_only=False)
    while pa.types.is_nested(values.type):
        values = values.flatten()
    numbers = values.to_numpy(zero_copy_only=False).reshape(whole, *shape)
    if whole == len(column):
        return numbers
    out = np.full((len(column), *shape), np.nan)
    out[known] = numbers
    return out


def contents(column: Any) -> Iterator[bytes]:
    """Yield the content of images, which lie in the table or in files of their own.

    Raises
    ------
    DatasetChangedError
        A file is gone.
    ValueError
        An image is elsewhere.
    """
    for image in column:
        data = image["bytes"].as_py() if image.is_valid else b""
        path = image["path"].as_py() if image.is_valid else None
        yield _read(path) if data is None and path is not None else data or b""


def _read(path: str) -> bytes:
    """Read the file of an image."""
    if is_url(path):
        raise ValueError(
            f"the image {without_credentials(path)} is not on this machine. X.to_parquet(file) "
            "stores the images beside the labels; read them from there: "
            "datasets.Dataset.from_parquet(file)."
        )
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DatasetChangedError(
            f"{path}, an image of a Hugging Face Dataset, cannot be read ({error}). Put it back."
        ) from error
