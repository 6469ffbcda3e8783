"""The rows that a Dataset of Hugging Face shows, taken out of its Arrow table where it lies."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._files.changes import Manifest
from sklearnish.data._source import IntArray


class Rows:
    """Some rows of an Arrow table, which is mapped from its files or in memory.

    Pickled as the library does it: of a table in files its paths, not its rows.

    Parameters
    ----------
    X : datasets.Dataset
        Whose rows, after `select`, `shuffle`, `filter` and the like.

    Attributes
    ----------
    manifests : list of Manifest
        The files, as they are now; none if everything is in memory.
    """

    def __init__(self, X: Any) -> None:
        self._table, self._chosen = X.data, X._indices
        self.n_rows = len(X)
        self.manifests = [Manifest.of(file["filename"]) for file in X.cache_files]
        self._start()

    def _start(self) -> None:
        """Begin without knowing where chunks begin."""
        self._offsets: dict[str, IntArray] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is found again."""
        return {name: value for name, value in self.__dict__.items() if name != "_offsets"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up the pickled state."""
        self.__dict__.update(state)
        self._start()

    def type(self, name: str) -> Any:
        """Return the Arrow type of a column, without extensions."""
        dtype = self._table.table.schema.field(name).type
        return dtype.storage_type if isinstance(dtype, pa.BaseExtensionType) else dtype

    def row_nbytes(self) -> float:
        """Count the bytes of a row, in the mean over all."""
        table = self._table.table
        return float(table.nbytes / max(1, table.num_rows))

    def are_in_order(self) -> bool:
        """Say whether the rows are those of the table, in its order, perhaps not all of them."""
        if self._chosen is None:
            return True
        last = -1
        for chunk in self._chosen.table.column(0).chunks:
            numbers = chunk.to_numpy()
            if len(numbers) and (
                int(numbers[0]) < last or bool((numbers[1:] < numbers[:-1]).any())
            ):
                return False
            last = int(numbers[-1]) if len(numbers) else last
        return True

    def list_lengths(self, name: str) -> Any:
        """Count the values of each list in a column, of which none is read."""
        lengths = pc.list_value_length(self._table.table.column(name))
        return lengths if self._chosen is None else lengths.take(self._chosen.table.column(0))

    def take(self, rows: IntArray, name: str) -> Any:
        """Take a column of some rows, in any order: a stretch is not copied."""
        return self.column(self.numbers(rows), name)

    def numbers(self, rows: IntArray) -> IntArray:
        """Look up which rows of the table these are."""
        if self._chosen is None:
            return rows
        numbers: IntArray = _taken(self._chosen.table.column(0), rows).to_numpy().astype(np.int64)
        return numbers

    def column(self, numbers: IntArray, name: str) -> Any:
        """Take a column of rows of the table."""
        column = self._table.table.column(name)
        if not (pa.types.is_nested(column.type) or isinstance(column.type, pa.BaseExtensionType)):
            return _taken(column, numbers)
        return self._nested(column, numbers, name)

    def _nested(self, column: Any, rows: IntArray, name: str) -> Any:
        """Take rows chunk by chunk: Arrow would copy all of the column, to take a few."""
        if name not in self._offsets:
            self._offsets[name] = np.cumsum([0, *map(len, column.chunks)], dtype=np.int64)
        order = None if bool((rows[1:] >= rows[:-1]).all()) else np.argsort(rows, kind="stable")
        ascending = rows if order is None else rows[order]
        pieces = []
        for i, local in arrow.runs(ascending, self._offsets[name]):
            chunk = column.chunk(i)
            chunk = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
            pieces.append(_taken(arrow.unsliced(pa.chunked_array([chunk])), local))
        chunks = [chunk for piece in pieces for chunk in piece.chunks]
        if order is None:
            return pa.chunked_array(chunks, self.type(name))
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return pa.chunked_array([pa.concat_arrays(chunks).take(pa.array(back))])


def _taken(column: Any, rows: IntArray) -> Any:
    """Take rows of a chunked array; a stretch is a slice."""
    n = len(rows)
    if n and int(rows[-1]) - int(rows[0]) == n - 1 and bool((np.diff(rows) == 1).all()):
        return column.slice(int(rows[0]), n)
    return column.take(pa.array(rows))
