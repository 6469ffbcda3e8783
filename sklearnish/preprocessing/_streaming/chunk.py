"""Some rows of a pass, and what is done to rows of any kind: frames, arrays, sparse matrices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.utils import _safe_indexing, get_tags

from sklearnish.data import IntArray, check_no_path

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Chunk:
    """Rows, and what is known of each of them."""

    X: Any
    """A DataFrame, an array, a sparse matrix, or what a function of the user's makes of one."""
    y: Values | None
    weight: Values | None
    rows: IntArray
    """Their numbers in the source."""
    sampled: npt.NDArray[np.bool_]
    """Which of them are in the sample that stands for all rows."""
    all_y: Values | None
    """The labels of all rows."""

    def take(self, key: Any) -> "Chunk":
        """Pick some of the rows."""
        y, weight = (None if a is None else a[key] for a in (self.y, self.weight))
        X, rows, sampled = pick(self.X, key), self.rows[key], self.sampled[key]
        return Chunk(X, y, weight, rows, sampled, self.all_y)

    def columns(self, key: Any) -> "Chunk":
        """Pick columns as a ColumnTransformer does: a list gives a table, a name one column."""
        return self.with_X(pick(self.X, key, axis=1))

    def with_X(self, X: Any) -> "Chunk":
        """Put something in the place of the features."""
        return replace(self, X=X)


def pick(X: Any, key: Any, axis: int = 0) -> Any:
    """Pick rows by a slice, a mask or numbers; or columns, also by name."""
    return _safe_indexing(X, key, axis=axis)


def stack(parts: Sequence[Any]) -> Any:
    """Put rows below each other."""
    if len(parts) == 1:
        return parts[0]
    if any(map(sparse.issparse, parts)):
        return sparse.vstack(parts, format="csr")
    if hasattr(parts[0], "iloc"):
        import pandas as pd

        return pd.concat(parts, ignore_index=True)
    if isinstance(parts[0], list):
        return [row for part in parts for row in part]
    return np.concatenate(parts)


def table_of(frame: Any, types: Mapping[str, Any] | None) -> Any:
    """Make what a transformer is given of a frame: an array, if its columns have no names.

    A chunk where no value is missing holds whole numbers, or bools, where the column as a whole
    would not: it gets the types of the whole.
    """
    if types is None:
        return frame.to_numpy()
    whole = [name for name in types if name in frame and frame[name].dtype.kind in "biu"]
    return frame.astype({name: types[name] for name in whole}) if whole else frame


def as_taken(transformer: Any, X: Any) -> Any:
    """Give a transformer of text the column, in the place of a frame of one.

    Raises
    ------
    ValueError
        If the frame has other columns: iterating over it, the transformer would take their names.
    TypeError
        If it is the name of a file.
    """
    if not isinstance(X, list):  # in which texts may end like names of images
        check_no_path(X)
    if not hasattr(X, "columns") or not _takes_text(transformer):
        return X
    if X.shape[1] != 1:
        raise ValueError(
            f"{type(transformer).__name__} takes one column of text, got {X.shape[1]} columns: "
            f"{', '.join(map(str, X.columns[:10]))}. Name the one, in a ColumnTransformer or with "
            "ds.select."
        )
    return X[X.columns[0]]


def _takes_text(transformer: Any) -> bool:
    """Say whether rows are texts."""
    if hasattr(transformer, "steps"):
        return _takes_text(transformer.steps[0][1])
    if not hasattr(transformer, "transform"):
        return False
    tags = get_tags(transformer).input_tags
    return bool(tags.string and not tags.two_d_array)


def column(X: Any, j: int) -> Any:
    """Take column j of a table."""
    return X.iloc[:, j] if hasattr(X, "iloc") else X[:, j]
