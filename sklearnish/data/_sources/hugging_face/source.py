"""Datasets of Hugging Face: their memory-mapped Arrow is read in place, by row numbers."""

import copy
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._decode import require_pillow
from sklearnish.data._errors import BadRowsError
from sklearnish.data._same_size import DECODING_SECONDS, TRIED, SameSize
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._sources.hugging_face import features as hf
from sklearnish.data._sources.hugging_face.rows import Rows

_BLOCK_BYTES = 2**20
_RESIZE = (
    "Resize them all before: X.map(lambda row: {'image': row['image'].resize((width, height))})."
)


def is_hugging_face(X: object) -> bool:
    """Tell a Dataset of the library, which is not imported for the question."""
    library: Any = sys.modules.get("datasets")
    kinds = [getattr(library, name, None) for name in ("Dataset", "IterableDataset")]
    return any(isinstance(kind, type) and isinstance(X, kind) for kind in kinds)


def hugging_face(X: Any) -> "HuggingFaceSource":
    """Read the rows and columns that a Dataset shows.

    Images, or arrays of two and more dimensions, alone or beside one other column, are the rows
    "X" with the labels "y". Anything else is a table, of which one column of classes is the target.

    Parameters
    ----------
    X : datasets.Dataset
        Of any format that shows its rows as they are; those of torch and others are not needed.

    Returns
    -------
    HuggingFaceSource
        Its rows.

    Raises
    ------
    TypeError
        If it is a stream, or makes its rows by a function of its own.
    ValueError
        If it has images beside several columns, or their sizes differ.
    """
    _check_kind(X)
    shown = X.format["columns"]
    names = [n for n in X.column_names if n in shown or X.format["output_all_columns"]]
    features = {name: X.features[name] for name in names}
    array = _array_among(features)
    if array is None:
        return HuggingFaceTable(X, features)
    others = [name for name in names if name != array]
    return HuggingFaceArrays(X, features, array, others[0] if others else None)


def _check_kind(X: Any) -> None:
    """Refuse what has no rows to read."""
    if not hasattr(X, "with_format") or not hasattr(X, "data"):
        raise TypeError(
            "X is a Hugging Face IterableDataset. It has no row indices, so it cannot be "
            "shuffled or split. Write it once, X.to_parquet(path), and pass "
            "sn.scan_parquet(path)."
        )
    if X.format["type"] == "custom":
        raise TypeError(
            "this Hugging Face Dataset computes its rows by a function (set_transform), which "
            "would not be called. Apply it once, X.map(function); or remove it, "
            "X.with_format(None), and use augment= or ds.map."
        )


def _array_among(features: dict[str, Any]) -> str | None:
    """Find the column of images, or of arrays, that is each row; None if the rows are a table."""
    images = [name for name, feature in features.items() if hf.is_image(feature)]
    arrays = [name for name, feature in features.items() if hf.array_shape(feature)]
    if len(images or arrays) == 1 and len(features) <= 2:
        (array,) = images or arrays
        if all(name == array or hf.is_label(feature) for name, feature in features.items()):
            return array
    if images:
        raise ValueError(
            f"this Hugging Face Dataset has the columns {', '.join(map(repr, features))}, of which "
            f"{', '.join(map(repr, images))} hold images. Choose the images and their labels: "
            f"X.select_columns([{images[0]!r}, ...])."
        )
    return None


class HuggingFaceSource(Source):
    """The rows of a Dataset of Hugging Face.

    Attributes
    ----------
    target : str or None
        The column of labels, where the Dataset says which it is.
    """

    work = "copying"
    name = "the Hugging Face Dataset"
    target: str | None = None
    _block_rows: int | None = None

    def __init__(self, X: Any, features: dict[str, Any]) -> None:
        self._rows, self._features = Rows(X), features
        self._is_from = [X._fingerprint, list(features)]
        self.n_rows = self._rows.n_rows
        self.in_memory = not self._rows.manifests
        # Any row is cheap where the order is not that of the files: it is as random as it gets.
        if not self.in_memory and self._rows.are_in_order():
            self._block_rows = max(1, int(_BLOCK_BYTES // max(1.0, self._rows.row_nbytes())))

    @property
    def blocks(self) -> IntArray | None:  # type: ignore[override]
        """Cut rows that lie in files in their order into stretches of about 1 MiB."""
        if self._block_rows is None:
            return None
        offsets = np.arange(0, self.n_rows, self._block_rows, dtype=np.int64)
        return np.append(offsets, self.n_rows)

    def finer(self, rows: int) -> "HuggingFaceSource":
        """Return the same rows in blocks of at most so many: any row is cheap."""
        made = copy.copy(self)
        made._block_rows = rows
        return made

    def _values(
        self, name: str, column: Any, rows: IntArray, shape: tuple[int, ...] | None
    ) -> Column:
        """Convert a column of some rows, in which arrays are given a shape."""
        feature = self._features[name]
        bad = rows[hf.of_other_shape(feature, column)] if shape is not None else rows[:0]
        if len(bad):
            raise BadRowsError(
                f"{self.row_name(int(bad[0]))} has an array in {name!r} that is not of shape "
                f"{hf.array_shape(feature)}, which its feature promises. Make the arrays alike: "
                "X.map(function), or leave out such rows: X.filter(function).",
                bad,
            )
        return hf.values_of(feature, column, shape)

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Return the files, and how the library tells what was done to their rows."""
        return type(self), {"files": self._rows.manifests, "made": self._is_from}

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if a file changed since the Dataset was given."""
        for manifest in self._rows.manifests:
            manifest.check()


class HuggingFaceTable(HuggingFaceSource):
    """A table of named columns; classes are their names, and the only ones the target."""

    def __init__(self, X: Any, features: dict[str, Any]) -> None:
        super().__init__(X, features)
        self.schema = {n: self._field(n, feature) for n, feature in features.items()}
        classes = [name for name, feature in features.items() if hf.is_class(feature)]
        self.target = classes[0] if len(classes) == 1 and len(features) > 1 else None

    def _field(self, name: str, feature: Any) -> Field:
        """Describe a column; lists that all are of one length are features."""
        dtype = self._rows.type(name)
        if arrow.list_width(dtype) is not None:
            bounds = pc.min_max(self._rows.list_lengths(name)).as_py()
            if bounds["min"] and bounds["min"] == bounds["max"]:
                dtype = pa.list_(dtype.value_type, bounds["max"])
        return hf.field_of(feature, dtype)

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Take some columns of rows in any order."""
        found, numbers = {}, self._rows.numbers(rows)
        for name in columns:
            shape = self.schema[name].shape if hf.array_shape(self._features[name]) else None
            found[name] = self._values(name, self._rows.column(numbers, name), rows, shape)
        return found


class HuggingFaceArrays(HuggingFaceSource):
    """Rows that are images or arrays, with a label beside each, or none."""

    tabular = False

    def __init__(self, X: Any, features: dict[str, Any], array: str, label: str | None) -> None:
        super().__init__(X, features)
        self._columns = {"X": array} | ({} if label is None else {"y": label})
        self._images: SameSize | None = None
        if hf.is_image(features[array]):
            self._begin_images(features[array].mode)
        shape = self._images.shape if self._images else hf.array_shape(features[array])
        dtype = "uint8" if self._images else features[array].dtype
        self.schema = {"X": Field(dtype, "number", shape or ())}
        if label is not None:
            self.schema["y"] = hf.field_of(features[label], self._rows.type(label))

    def _begin_images(self, mode: str | None) -> None:
        """Look at the first image; no block of images is cheap to read together."""
        require_pillow()
        if mode not in (None, "RGB"):
            raise ValueError(
                f"the images of this Hugging Face Dataset are of mode {mode!r}; they are read as "
                "RGB. Say so: X.cast_column(name, datasets.Image(mode='RGB'))."
            )
        self.work, self.row_seconds = "reading and decoding", DECODING_SECONDS
        self._block_rows, self.in_memory = None, False
        if self.n_rows:
            tried = np.arange(min(self.n_rows, TRIED))
            column = self._rows.take(tried, self._columns["X"])
            self._images = SameSize.of(hf.contents(column), self.row_name, _RESIZE)

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Decode images, or take arrays or labels."""
        found: dict[str, Column] = {}
        for name in columns:
            stored = self._columns[name]
            column = self._rows.take(rows, stored)
            if name == "X" and self._images is not None:
                found[name] = self._images.decode(rows, hf.contents(column), self.row_name)
            else:
                shape = self.schema["X"].shape if name == "X" else None
                found[name] = self._values(stored, column, rows, shape)
        return found
