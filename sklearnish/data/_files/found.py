"""What the user gave as paths, found on the disk or in a store."""

from collections.abc import Sequence
from typing import Any

from sklearnish.data._files.changes import Listing, Manifest
from sklearnish.data._files.paths import Paths, as_list
from sklearnish.data._files.remote import RemoteListing
from sklearnish.data._files.store import Store


def found(
    paths: Paths, suffixes: Sequence[str] = (), filesystem: Any = None
) -> tuple[list[Manifest], Listing]:
    """Find files, and look at them.

    Parameters
    ----------
    paths : str, path or iterable of them
        Files, globs or folders, in the order of ``expand_paths``.
    suffixes : sequence of str, default=()
        Endings that count in a folder; any if empty.
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, default=None
        Where they are; None for the local disk.

    Returns
    -------
    list of Manifest, Listing
        The files, and where they were looked for.

    Raises
    ------
    FileNotFoundError
        A file is missing, a glob or a folder has no match, a path is empty.
    ValueError
        A file is empty, is given twice, or a path is a URL and there is no filesystem.
    TypeError
        Something is neither a str nor a path, or no filesystem.
    """
    if filesystem is None:
        files, listing = Listing.of(paths, suffixes)
        return [Manifest.of(file) for file in files], listing
    given = as_list(paths)
    return RemoteListing.find(Store(filesystem), given, suffixes)
