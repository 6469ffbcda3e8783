"""Folders whose Parquet files are not all rows of one table: those of Delta and Iceberg."""

import glob
import itertools
import os

from sklearnish.data._files.changes import Listing

_FILES = "To read files of it as they are, pass a list of their paths."


def refuse_tables(listing: Listing) -> None:
    """Raise ValueError for a folder, or glob, in a table that has a log of its own.

    Files that were deleted or replaced stay in the folder, and some rows of others are deleted.
    """
    for folder in itertools.chain.from_iterable(map(_tables_around, listing.given)):
        if listing.has(folder, "_delta_log"):
            raise ValueError(
                f"{listing.shown(folder)} is a Delta table, and its Parquet files may hold rows "
                f"that were deleted. Read it with sn.scan_delta({listing.shown(folder)!r}, ...). "
                f"{_FILES}"
            )
        if listing.has(folder, "metadata/*.metadata.json"):
            raise ValueError(
                f"{listing.shown(folder)} is an Iceberg table, and its Parquet files may hold rows "
                "that were deleted. Read it with sn.scan_iceberg(table, ...), of the table as its "
                f"catalog gives it. {_FILES}"
            )


def _tables_around(place: str) -> list[str]:
    """List the folders that would be the table if this were partitions of it, or its data."""
    parts = place.replace(os.sep, "/").rstrip("/").split("/")
    parts = list(itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    while parts and "=" in parts[-1]:
        parts.pop()
    around = [parts, parts[:-1]] if parts[-1:] == ["data"] else [parts]
    return ["/".join(parts) for parts in around]
