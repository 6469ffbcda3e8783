"""A Dataset written out: a folder of .npy files."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from sklearnish.data._files.atomic import atomic_folder, check_free_space, reserve
from sklearnish.data._fingerprint import fingerprint, fingerprint_of_rows
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._reading.reader import EvaluationReader
from sklearnish.data._source import IntArray
from sklearnish.data._sources.npy.source import FolderSource
from sklearnish.data._system.locks import one_maker
from sklearnish.data._views.inputs import Inputs
from sklearnish.data._views.rounding import merges_numbers, sample
from sklearnish.data._views.view import View

V = TypeVar("V", bound=View)

_FORMAT = 2  # raise it when folders written before must not be read any more
_ABOUT = "dataset.json"
_CHUNK_BYTES = 2**23


def write_folder(dataset: V, path: str | os.PathLike[str], *, shuffle: bool, seed: int) -> V:
    """Write a view to a new folder, or find it written there already.

    Parameters
    ----------
    dataset : View
        Any; its functions of rows are applied.
    path : path-like
        The folder.
    shuffle : bool
        Whether to write the rows in random order.
    seed : int
        Seed of that order.

    Returns
    -------
    View
        The rows in the folder, of the class of `dataset`.

    Raises
    ------
    FileExistsError
        If there is something else at `path`.
    OSError
        If there is too little room on the disk.
    """
    path, like = Path(path).absolute(), dataset
    if dataset._inputs.asked is None and not dataset.transforms and merges_numbers(sample(dataset)):
        dataset = dataset._with_inputs(asked=torch.float64)
    digest = _digest(dataset, shuffle, seed)
    if _is_free(path):
        with one_maker(path):
            if _is_free(path):  # no other process has written it meanwhile
                with atomic_folder(path) as folder:
                    check_free_space(path.parent, len(dataset) * dataset.row_nbytes)
                    _write(dataset, folder, shuffle, seed, digest)
    if _about(path).get("digest") != digest:
        raise FileExistsError(
            f"{path} exists and holds other rows, or rows of another function (or of one that "
            "cannot be identified). Remove it, or choose another folder."
        )
    return _open(path, like)


def _is_free(path: Path) -> bool:
    """Tell whether nothing is there but perhaps an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _write(dataset: View, folder: Path, shuffle: bool, seed: int, digest: str) -> None:
    """Write rows in the order in which they are cheap to read, each to its place."""
    order = np.argsort(dataset.rows, kind="stable")
    places = np.random.default_rng(seed).permutation(len(dataset)) if shuffle else None
    out = np.lib.format.open_memmap(
        folder / "X.npy", "w+", dataset.dtype, (len(dataset), *dataset.row_shape)
    )
    with (folder / "X.npy").open("rb+") as file:
        reserve(file)
    start = 0
    for X in _chunks(dataset.without_target()[order]):
        positions = order[start : start + len(X)]
        out[positions if places is None else places[positions]] = X
        start += len(X)
    out.flush()
    for name, values in (("y", dataset.target), ("weight", dataset.weight)):
        if values is not None:
            np.save(folder / f"{name}.npy", _placed(_plain(values), places), allow_pickle=False)
    about = {
        "digest": digest,
        "columns": getattr(dataset, "columns", None),  # none if functions have replaced them
    }
    (folder / _ABOUT).write_text(json.dumps(about))


def _chunks(dataset: View) -> Iterator[npt.NDArray[Any]]:
    """Read features chunk by chunk, in order."""
    rows = max(1, math.ceil(_CHUNK_BYTES / dataset.row_nbytes))
    options: dict[str, Any] = {"sampler": "sequential", "finite": False}
    with prepare_loader(dataset, batch_size=rows, reader=EvaluationReader, **options) as loader:
        for batch in loader:
            if isinstance(batch.X, dict):
                raise TypeError("Rows that are dicts of tensors cannot be cached.")
            yield batch.X.numpy()


def _placed(values: npt.NDArray[Any], places: IntArray | None) -> npt.NDArray[Any]:
    """Bring labels into the order of the written rows."""
    if places is None:
        return values
    placed = np.empty_like(values)
    placed[places] = values
    return placed


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels without what only pickle could write: Python objects, and notes on their dtype."""
    if values.dtype != object:
        return values.view(values.dtype.str)
    if not all(isinstance(v, str) for v in values):
        raise TypeError("Labels must be numbers or text to be cached, without missing ones.")
    return values.astype(np.str_)


def _open(folder: Path, like: V) -> V:
    """Open a written folder as a view of the class of another, in the type that it delivers."""
    columns = _about(folder)["columns"]
    source = FolderSource(folder, columns)
    files = folder / "y.npy", folder / "weight.npy"
    y, weight = (np.load(f, allow_pickle=False) if f.exists() else None for f in files)
    inputs = Inputs(None if columns is None else tuple(columns), asked=like._inputs.asked)
    dataset = type(like)(source, range(source.n_rows), inputs)
    return dataset.with_target(y).with_weight(weight)


def _about(folder: Path) -> dict[str, Any]:
    """Read the description of a written folder; empty for anything else."""
    try:
        about = json.loads((folder / _ABOUT).read_text())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _digest(dataset: View, shuffle: bool, seed: int) -> str:
    """Identify what would be written: rows, columns, functions, order."""
    try:
        return fingerprint(_FORMAT, shuffle, seed, fingerprint_of_rows(dataset))
    except TypeError:  # something that cannot be told from another: never found again
        return os.urandom(16).hex()
