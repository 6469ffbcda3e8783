"""Folders whose Parquet files are not all rows of one table: those of Delta and Iceberg."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from sklearnish.data._sources.parquet.partitions import fixed_part

_FILES = "To read files of it as they are, pass a list of their paths."


def refuse_tables(places: Sequence[str]) -> None:
    """Raise ValueError for a folder, or glob, in a table that has a log of its own.

    Files that were deleted or replaced stay in the folder, and some rows of others are deleted.
    """
    for folder in itertools.chain.from_iterable(map(_tables_around, places)):
        if (folder / "_delta_log").is_dir():
            raise ValueError(
                f"{folder} is a Delta table, and its Parquet files may hold rows that were "
                f"deleted. Read it with sn.scan_delta({str(folder)!r}, ...). {_FILES}"
            )
        if any(folder.glob("metadata/*.metadata.json")):
            raise ValueError(
                f"{folder} is an Iceberg table, and its Parquet files may hold rows that were "
                "deleted. Read it with sn.scan_iceberg(table, ...), of the table as its catalog "
                f"gives it. {_FILES}"
            )


def _tables_around(place: str) -> list[Path]:
    """List the folders that would be the table if this were partitions of it, or its data."""
    folder = fixed_part(place)
    while "=" in folder.name:
        folder = folder.parent
    return [folder, folder.parent] if folder.name == "data" else [folder]
