"""From the bytes of a field to what it means: labels, arrays of one shape."""

import json
import math
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._npy_header import NpyHeader, npy_header
from sklearnish.data._same_size import NameRow, decode_into
from sklearnish.data._shown import shown
from sklearnish.data._source import Field, IntArray

IMAGES = ("jpg", "jpeg", "png", "webp")
_NUMBERS = ("cls", "cls2", "class", "count", "index", "inx", "id")
_TEXTS = ("txt", "text", "transcript")
_JSON = ("json", "jsn")
_LABELS = "biufU"


def kind_of(field: str) -> str:
    """Return what decides how a field is read: "png" of "seg.png"."""
    return field.rpartition(".")[2]


def split_path(target: str) -> tuple[str, list[str]]:
    """Split "json.box.width" into the field and the keys in it; "a.cls" is a field."""
    parts = target.split(".")
    for i, part in enumerate(parts):
        if part.lower() in _JSON:
            return ".".join(parts[: i + 1]), parts[i + 1 :]
    return target, []


def label_reader(field: str, keys: list[str]) -> Callable[[bytes], Any]:
    """Choose how a label is read.

    Raises
    ------
    ValueError
        Fields of this kind hold no labels.
    """
    kind = kind_of(field)
    if kind in _NUMBERS:
        return int
    if kind in _TEXTS:
        return bytes.decode
    if kind in _JSON and keys:
        return lambda data: _inside(json.loads(data), keys)
    if kind == "npy":
        return array_of
    hint = f' Name what it holds, as in target="{field}.label".' if kind in _JSON else ""
    raise ValueError(
        f"target={field!r} is no field of labels: these are cls (a whole number), txt, npy, and "
        f"json with the keys that lead to the label.{hint}"
    )


def _inside(value: Any, keys: list[str]) -> Any:
    """Follow keys into nested dicts."""
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            has = ", ".join(map(repr, value)) if isinstance(value, dict) else "no keys"
            raise ValueError(f"it has no {key!r}, but {has}")
        value = value[key]
    return value


def labels_of(target: str, data: Iterable[bytes | None], name_row: NameRow) -> npt.NDArray[Any]:
    """Read the labels of all samples.

    Raises
    ------
    ValueError
        A sample has none, one cannot be read, or they are of several kinds.
    """
    field, keys = split_path(target)
    read, values = label_reader(field, keys), []
    for row, content in enumerate(data):
        if content is None:
            raise ValueError(
                f"{name_row(row)} has no field {field!r}, so it has no label. Pack the samples "
                "again without it, or pass labels of your own: target=array."
            )
        try:
            values.append(read(content))
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{target!r} of {name_row(row)} cannot be read as a label: {error}."
            ) from error
    return _as_array(values, target, name_row)


def _as_array(values: list[Any], target: str, name_row: NameRow) -> npt.NDArray[Any]:
    """Make an array of labels of one kind."""
    texts = [isinstance(value, str) for value in values]
    if any(texts) and not all(texts):
        row = texts.index(not texts[0])
        raise ValueError(
            f"{target!r} is {shown(values[row])} in {name_row(row)}, and {shown(values[0])} in "
            f"{name_row(0)}: labels must be numbers or text."
        )
    try:
        labels = np.asarray(values)
    except (ValueError, OverflowError):
        labels = np.empty(0, object)
    if labels.dtype.kind not in _LABELS:
        raise ValueError(
            f"{target!r} holds no labels of one kind: in {name_row(0)} it is {shown(values[0])}. "
            "They must be numbers, text, or lists of as many numbers."
        )
    return labels


def array_of(data: bytes) -> npt.NDArray[Any]:
    """Read an .npy file without a copy.

    Raises
    ------
    ValueError
        It is truncated, no .npy file, or holds no numbers.
    """
    shape, fortran, dtype, offset = _header(data)
    if dtype.kind not in "biuf" or min(shape, default=0) < 0:
        raise ValueError(f"it holds {dtype} of shape {shape}; numbers are needed")
    if len(data) < offset + math.prod(shape) * dtype.itemsize:
        raise ValueError("it is truncated")
    flat = np.frombuffer(data, dtype, math.prod(shape), offset)
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(data: bytes) -> NpyHeader:
    """Read a header."""
    try:
        return npy_header(BytesIO(data))
    except Exception as error:  # numpy raises whatever the text of a header ran into
        raise ValueError(f"it is no .npy file ({error})") from error


class SameArray:
    """Arrays that are rows: of the shape and type of the first that can be read.

    Parameters
    ----------
    rows : ndarray of int64
        Some rows.
    data : iterable of bytes
        Their content.
    name_row : callable
        Names a row by its number.

    Raises
    ------
    ValueError
        None of them can be read.
    """

    def __init__(self, rows: IntArray, data: Iterable[bytes], name_row: NameRow) -> None:
        errors: list[ValueError] = []
        for row, content in zip(rows.tolist(), data, strict=True):
            try:
                first = _read(row, content, name_row)
            except ValueError as error:
                errors.append(error)
            else:
                self._first = row
                self.field = Field.of_numpy(first.dtype, first.shape)
                self._dtype = first.dtype
                # Most files begin with the same bytes, which take longer to parse than to compare.
                self._header = (
                    content[: _header(content).offset] if first.flags.c_contiguous else None
                )
                return
        raise errors[0]

    def decode(
        self, rows: IntArray, data: Iterable[bytes], name_row: NameRow, places: IntArray
    ) -> npt.NDArray[Any]:
        """Read the arrays of some rows into one, each to its place.

        Raises
        ------
        BadRowsError
            Some cannot be read, or have another shape or type.
        """
        out = np.empty((len(rows), *self.field.shape), self.field.dtype)
        decode_into(out, rows, data, lambda row, data: self._alike(row, data, name_row), places)
        return out

    def _alike(self, row: int, data: bytes, name_row: NameRow) -> npt.NDArray[Any]:
        """Read one array, which must be like the others."""
        shape, header = self.field.shape, self._header
        if header is not None and data.startswith(header):
            nbytes = math.prod(shape) * self._dtype.itemsize
            if len(data) == len(header) + nbytes:
                return np.frombuffer(data, self._dtype, offset=len(header)).reshape(shape)
        array = _read(row, data, name_row)
        if (array.shape, array.dtype.name) != (self.field.shape, self.field.dtype):
            raise ValueError(
                f"{name_row(row)} has an array of shape {array.shape}, {array.dtype.name}, and "
                f"{name_row(self._first)} one of shape {self.field.shape}, {self.field.dtype}. Pad "
                "or convert them to one."
            )
        return array


def _read(row: int, data: bytes, name_row: NameRow) -> npt.NDArray[Any]:
    """Read one array; errors name it."""
    try:
        return array_of(data)
    except ValueError as error:
        text = f"The array of {name_row(row)} cannot be read: {error}."
        raise ValueError(f"{text} Write it again with numpy.save, or remove it.") from error
