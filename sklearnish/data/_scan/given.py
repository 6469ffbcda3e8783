"""What the scan functions are given: paths, and names of columns."""

from collections.abc import Collection, Iterable, Sequence
from os import PathLike
from typing import Any

import narwhals as nw

from sklearnish.data._as_dataset import Columns
from sklearnish.data._files.paths import as_list, is_url, without_credentials
from sklearnish.data._shown import shown
from sklearnish.data._sources.frames import is_frame
from sklearnish.data._sources.images.names import SUFFIXES

Path = str | PathLike[str]
Paths = Path | Sequence[Path]

_SCANS = {
    (".csv", ".tsv", ".csv.gz"): "scan_csv(path, target=...)",
    (".npy",): "scan_npy(path, target=...)",
    (".h5", ".hdf5"): "scan_hdf5(path, name, target=...)",
    (".zarr",): "scan_zarr(path, name, target=...)",
    (".tar",): "scan_images(path), or sn.scan_shards(path, field, target=...)",
}
"""What scans a file, by the end of its name; others are taken for Parquet."""


def check_no_path(X: Any) -> None:
    """Refuse the name of a file, or names of images, in the place of rows.

    Raises
    ------
    TypeError
        Naming what makes a Dataset of it.
    """
    first = X[0] if isinstance(X, list) and X else X
    if not isinstance(first, str | PathLike):
        return
    name = str(first).lower()
    if name.endswith(SUFFIXES):
        scan = "scan_images([...], size=(height, width))"
    elif first is X:
        scans = (scan for ends, scan in _SCANS.items() if name.endswith(ends))
        scan = next(scans, "scan_parquet(path, target=...)")
    else:
        return  # a list of texts
    raise TypeError(
        f"X is the name of a file, {shown(without_credentials(str(first)))}, not its rows. Scan it "
        f"first: ds = sn.{scan}, then pass ds."
    )


def check_given(paths: Any, target: Any = None, weight: Any = None, columns: Any = None) -> None:
    """Refuse data in the place of a path, and values in the place of names."""
    if is_frame(paths):
        raise TypeError(
            f"expected a path or a list of paths, got {type(paths).__name__}. Pass data in memory "
            "to fit as it is, or make it a Dataset with sn.as_dataset."
        )
    if not isinstance(paths, str | PathLike | Iterable):
        raise TypeError(f"expected a path or a list of paths, got {type(paths).__name__}.")
    check_roles(target, weight, columns)


def check_local(paths: Any) -> None:
    """Refuse data in the place of a path, and URLs, where only local files are read."""
    check_given(paths)
    for path in as_list(paths):
        if isinstance(path, str) and is_url(path):
            raise ValueError(
                f"{without_credentials(path)} is a URL; only local files can be read here. "
                "Download it first."
            )


def check_roles(target: Any, weight: Any, columns: Any) -> None:
    """Refuse values in the place of names."""
    if not _are_names(target):
        raise TypeError(
            f"target takes the name of a column or a list of names, got {type(target).__name__}. "
            "Pass labels of your own to the Dataset's with_target, or as y to fit."
        )
    if not (weight is None or isinstance(weight, str)):
        raise TypeError(
            f"weight takes the name of a column, got {type(weight).__name__}. Pass weights of "
            "your own to the Dataset's with_weight, or as sample_weight to fit."
        )
    if not _are_names(columns):
        raise TypeError(f"columns takes a list of names, got {type(columns).__name__}.")


def _are_names(given: Any) -> bool:
    """Say whether something is None, a name or several; a Series is values, even of text."""
    if given is None or isinstance(given, str):
        return True
    several = isinstance(given, Collection) and not nw.dependencies.is_into_series(given)
    return several and all(isinstance(name, str) for name in given)


def asked(target: Columns, weight: str | None, columns: Columns) -> set[str] | None:
    """List the columns that are asked for by name; None if none or all are."""
    if columns is None:
        return None
    given = [names for names in (target, weight, columns) if names is not None]
    names = {name for some in given for name in ([some] if isinstance(some, str) else some)}
    return names or None
