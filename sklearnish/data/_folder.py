"""A Dataset written out: a folder of .npy files that is mapped into memory when it is read."""

import copy
import functools
import hashlib
import json
import math
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sklearnish.data._dataset import Dataset
from sklearnish.data._files import atomic_folder, check_free_space, reserve
from sklearnish.data._loader import Loader
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._sources.npy import NpySource
from sklearnish.data._transforms import Function

_ABOUT = "dataset.json"
_CHUNK_BYTES = 2**23


class FolderSource(Source):
    """The rows of a written folder, under the names of their columns if they had some."""

    work = "copying"

    def __init__(self, folder: Path, columns: Sequence[str] | None) -> None:
        self._npy = NpySource(folder / "X.npy")
        self.name, self.n_rows = str(folder), self._npy.n_rows
        self.tabular = columns is not None
        self._places = {name: i for i, name in enumerate(columns or ())}
        field = self._npy.schema["X"]
        self.schema = {name: Field(field.dtype) for name in self._places} or {"X": field}

    @property
    def blocks(self) -> IntArray | None:  # type: ignore[override]
        """Return the blocks of the mapped file."""
        return self._npy.blocks

    def finer(self, rows: int) -> "FolderSource":
        """Return the same rows in smaller blocks."""
        made = copy.copy(self)
        made._npy = self._npy.finer(rows)
        return made

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Copy the rows once; a column is a view of them."""
        X = self._npy.read(rows, ["X"])["X"]
        if not self.tabular:  # as a tensor: whole numbers were delivered as such
            return {"X": torch.from_numpy(X)}
        return {name: X[:, self._places[name]] for name in columns}

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if the file is not the one that was opened."""
        self._npy.check_unchanged()


def write_folder(
    dataset: Dataset, path: str | os.PathLike[str], *, shuffle: bool, seed: int
) -> Dataset:
    """Write a view to a new folder, or find it written there already.

    Parameters
    ----------
    dataset : Dataset
        Any view; its functions of rows are applied.
    path : path-like
        The folder.
    shuffle : bool
        Whether to write the rows in random order.
    seed : int
        Seed of that order.

    Returns
    -------
    Dataset
        The rows in the folder.

    Raises
    ------
    FileExistsError
        If there is something else at `path`.
    OSError
        If there is too little room on the disk.
    """
    path = Path(path).absolute()
    digest = _digest(dataset, shuffle, seed)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        with atomic_folder(path) as folder:
            check_free_space(path.parent, len(dataset) * dataset.row_nbytes)
            _write(dataset, folder, shuffle, seed, digest)
    elif _about(path).get("digest") != digest:
        raise FileExistsError(
            f"{path} exists and holds something else (other rows, or a function that was changed "
            "or cannot be told from another). Remove it, or choose another folder."
        )
    return _open(path)


def _write(dataset: Dataset, folder: Path, shuffle: bool, seed: int, digest: str) -> None:
    """Write rows in the order in which they are cheap to read, each to its place."""
    order = np.argsort(dataset.rows, kind="stable")
    places = np.random.default_rng(seed).permutation(len(dataset)) if shuffle else None
    out = np.lib.format.open_memmap(
        folder / "X.npy", "w+", dataset.dtype, (len(dataset), *dataset.row_shape)
    )
    reserve(folder / "X.npy")
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
        "dtype": str(dataset._dtype).removeprefix("torch."),
    }
    (folder / _ABOUT).write_text(json.dumps(about))


def _chunks(dataset: Dataset) -> Iterator[npt.NDArray[Any]]:
    """Read features chunk by chunk, in order."""
    rows = max(1, math.ceil(_CHUNK_BYTES / dataset.row_nbytes))
    with Loader(dataset, batch_size=rows, sampler="sequential", finite=False) as loader:
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
    """Labels without Python objects, which only pickle could write."""
    if values.dtype != object:
        return values
    if not all(isinstance(v, str) for v in values):
        raise TypeError("Labels must be numbers or text to be cached, without missing ones.")
    return values.astype(np.str_)


def _open(folder: Path) -> Dataset:
    """Map a written folder."""
    about = _about(folder)
    columns, dtype = about["columns"], getattr(torch, about["dtype"])
    source = FolderSource(folder, columns)
    held = {n: folder / f"{n}.npy" for n in ("y", "weight") if (folder / f"{n}.npy").exists()}
    names = tuple(columns) if columns else None
    dataset = Dataset(source, range(source.n_rows), names, _dtype=dtype)
    if "y" in held:
        dataset = dataset.with_target(np.load(held["y"], allow_pickle=False))
    if "weight" in held:
        dataset = dataset.with_weight(np.load(held["weight"], allow_pickle=False))
    return dataset


def _about(folder: Path) -> dict[str, Any]:
    """Read the description of a written folder; empty for anything else."""
    try:
        about = json.loads((folder / _ABOUT).read_text())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _digest(dataset: Dataset, shuffle: bool, seed: int) -> str:
    """Identify what would be written: files with their times, rows, columns, functions."""
    digest = hashlib.sha256()
    try:
        for part in (shuffle, seed, dataset, *map(_code, dataset.transforms)):
            pickle.Pickler(_Writer(digest.update), protocol=5).dump(part)
    except Exception:  # a function that cannot be pickled: never found again
        digest.update(os.urandom(32))
    return digest.hexdigest()


class _Writer:
    """A file that hands on what is written, so that no copy of the data is made."""

    def __init__(self, write: Callable[[Any], object]) -> None:
        self.write = write


def _code(function: Function) -> object:
    """Describe what a function does, which its pickle, a name, does not."""
    f = function.f
    while isinstance(f, functools.partial):
        f = f.func
    code = getattr(f, "__code__", None)
    return None if code is None else (code.co_code, repr(code.co_consts), code.co_names)
