"""Row groups of an object in a store: the bytes of each are read before Arrow asks for them."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow.parquet as pq

from sklearnish.data._files.remote_file import RemoteFile


class RemoteParquetFile(pq.ParquetFile):
    """A Parquet file in a store, of which one request reads what is wanted of a row group.

    Parameters
    ----------
    file : RemoteFile
        The object.
    **options
        Those of ``pyarrow.parquet.ParquetFile``.
    """

    def __init__(self, file: RemoteFile, **options: Any) -> None:
        self._remote = file
        super().__init__(file, **options)

    def read_row_group(self, i: int, columns: Sequence[str], **options: Any) -> Any:
        """Read some columns of a row group."""
        self._remote.hold(_ranges(self.metadata, i, columns))
        table = super().read_row_group(i, columns, **options)
        self._remote.hold(())
        return table

    def iter_batches(
        self, batch_size: int, row_groups: Sequence[int], columns: Sequence[str], **options: Any
    ) -> Iterator[Any]:
        """Yield some columns of row groups in batches."""
        for group in row_groups:
            self._remote.hold(_ranges(self.metadata, group, columns))
            yield from super().iter_batches(batch_size, [group], columns, **options)
        self._remote.hold(())


def _ranges(metadata: Any, group: int, columns: Collection[str]) -> list[tuple[int, int]]:
    """List where the columns of a row group lie, by the footer; Arrow reads no other bytes."""
    row_group, ranges = metadata.row_group(group), []
    for i in range(row_group.num_columns):
        chunk = row_group.column(i)
        path = chunk.path_in_schema
        if any(path == name or path.startswith(f"{name}.") for name in columns):
            starts = [chunk.data_page_offset, chunk.dictionary_page_offset or 0]
            start = min(start for start in starts if start > 0)
            ranges.append((start, start + chunk.total_compressed_size))
    return ranges
