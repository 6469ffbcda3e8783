"""Samples in tar shards, read by offset: any row is as cheap as any other in its tar."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sklearnish.data._decode import Size, require_pillow
from sklearnish.data._errors import BadRowsError
from sklearnish.data._files.found import found
from sklearnish.data._files.local_copy import errors_of, local_copy
from sklearnish.data._files.paths import Paths, describe
from sklearnish.data._files.tar import read_members
from sklearnish.data._named import Names, by_key, labels_given
from sklearnish.data._same_size import DECODING_SECONDS, RESIZE, TRIED, SameSize, Sides, sides_of
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._sources.shards.fields import (
    IMAGES,
    SameArray,
    kind_of,
    label_reader,
    labels_of,
    split_path,
)
from sklearnish.data._sources.shards.index import (
    Index,
    alternatives,
    contents,
)
from sklearnish.data._tensors.convert import as_tensor


class ShardSource(Source):
    """Samples in one or more uncompressed tars.

    The field "X" holds images or arrays, or a dict of them; "y" the target, where there is one;
    "key" the key of the sample, and "shard" its tar.

    Parameters
    ----------
    paths : str, path or list of them
        Tars, globs or folders.
    names : str, sequence of str or dict of str to str
        Field of the rows; of "jpg;png" the first one that a sample has. Several make a dict.
    target : str or array-like of shape (n_samples,), default=None
        Field of the labels, or the labels.
    size : int, (int, int) or None
        Side, or height and width, to which images are resized; None if they have one size.
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, default=None
        Where the tars are, which are copied once into the cache folder; None for the local disk.

    Raises
    ------
    ValueError
        A tar cannot be read by offset, no sample has such a field, or a label cannot be read.
    TypeError
        `names` or `target` is of another kind.
    ImportError
        The rows are images, and Pillow is missing.
    """

    tabular = False
    work = "reading and decoding"

    def __init__(
        self,
        paths: Paths,
        names: Names,
        target: Any = None,
        size: Sides = None,
        filesystem: Any = None,
    ) -> None:
        self._names, resize = by_key(names), sides_of(size)
        self._one = isinstance(names, str)
        for name in self._names.values():
            _check_kind(name)
        if isinstance(target, str):
            label_reader(*split_path(target))
        self._manifests, self._listing = found(paths, (".tar",), filesystem)
        self.name = describe(paths, [manifest.path for manifest in self._manifests])
        self._stored = [local_copy(manifest) for manifest in self._manifests]
        with ExitStack() as errors:
            for manifest, stored in zip(self._manifests, self._stored, strict=True):
                errors.enter_context(errors_of(manifest, stored))
            self._index = Index(self._stored, list(self._names.values()))
        self.n_rows = len(self._index.shards)
        self._check_fields([*self._names.values(), *_field_of(target)])
        self._parts = {key: self._part(name, resize) for key, name in self._names.items()}
        self.schema = {"X": self._X_field()}
        self._y = self._target(target)
        if self._y is not None:
            self.schema["y"] = Field.of_numpy(self._y.dtype, self._y.shape[1:])
        self.schema["key"] = self.schema["shard"] = Field("string", "text")
        if any(_is_image(name) for name in self._names.values()):
            self.row_seconds = DECODING_SECONDS

    def _check_fields(self, names: list[str]) -> None:
        """Refuse fields that no sample has."""
        for name in names:
            if not self._index.fields.intersection(alternatives(name)):
                has = ", ".join(map(repr, sorted(self._index.fields))) or "none"
                raise ValueError(
                    f"No sample of {self.name} has a field {name!r}. Fields are {has}."
                )

    def _part(self, name: str, resize: Size | None) -> SameSize | SameArray:
        """Find out what the rows of a field have in common."""
        if _is_image(name):
            require_pillow()
            if resize:
                return SameSize(*resize, 0, resize, RESIZE)
        has = np.flatnonzero(self._index.places[name].sizes >= 0)[:TRIED]
        data = self._read(has, name)
        if not _is_image(name):
            return SameArray(has, data, self.row_name)
        same = SameSize.of(data, lambda i: self.row_name(int(has[i])), RESIZE)
        return replace(same, first=int(has[same.first]))

    def _X_field(self) -> Field:
        """Describe the rows."""
        if not self._one:
            return Field("dict", "other")
        (part,) = self._parts.values()
        return part.field if isinstance(part, SameArray) else Field("uint8", "number", part.shape)

    def _target(self, target: Any) -> npt.NDArray[Any] | None:
        """Read the labels of all samples, or take those given."""
        if isinstance(target, str):
            field, _ = split_path(target)
            data = (contents(stored, field) for stored in self._stored)
            return labels_of(target, itertools.chain.from_iterable(data), self.row_name)
        y = labels_given(target)
        if y is not None and len(y) != self.n_rows:
            raise ValueError(f"the target has {len(y)} rows and {self.name} has {self.n_rows}.")
        return y

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Read and decode samples, or look up labels and names."""
        look_up = {"X": self._inputs, "y": self._labels, "key": self._keys, "shard": self._tars}
        return {name: look_up[name](rows) for name in columns}

    def _inputs(self, rows: IntArray) -> Column:
        """Read the fields of the rows, in the order in which they lie on the disk."""
        self._check_whole(rows)
        lies = next(iter(self._index.places.values())).offsets
        order = np.lexsort((lies[rows], self._index.shards[rows]))
        made = {key: self._decoded(key, rows, order) for key in self._names}
        return made["X"] if self._one else {key: as_tensor(x) for key, x in made.items()}

    def _check_whole(self, rows: IntArray) -> None:
        """Raise BadRowsError if samples lack a field."""
        for name in self._names.values():
            lacking = rows[self._index.places[name].sizes[rows] < 0]
            if len(lacking):
                raise BadRowsError(
                    f"{self.row_name(int(lacking[0]))} has no field {name!r}. Pack the samples "
                    "again without it, or leave such samples out of a fit: on_bad_rows='skip'.",
                    np.unique(lacking),
                )

    def _decoded(self, key: str, rows: IntArray, order: IntArray) -> npt.NDArray[Any]:
        """Read one field of whole samples."""
        rows, data = rows[order], self._read(rows[order], self._names[key])
        return self._parts[key].decode(rows, data, self.row_name, order)

    def _read(self, rows: IntArray, name: str) -> Iterator[bytes]:
        """Read a field of samples that lie tar by tar."""
        places, shards = self._index.places[name], self._index.shards[rows]
        ends = (np.flatnonzero(np.diff(shards)) + 1).tolist()
        for a, b in itertools.pairwise([0, *ends, len(rows)]):
            if b > a:
                here = (column[rows[a:b]].tolist() for column in (places.offsets, places.sizes))
                yield from read_members(self._stored[shards[a]], zip(*here, strict=True))

    def _labels(self, rows: IntArray) -> Column:
        """Look up labels."""
        return None if self._y is None else self._y[rows]

    def _keys(self, rows: IntArray) -> Column:
        """Look up keys."""
        return self._index.keys.take(pa.array(rows))

    def _tars(self, rows: IntArray) -> Column:
        """Look up the paths of the tars."""
        paths = pa.array([manifest.path for manifest in self._manifests])
        return pa.chunked_array([paths.take(pa.array(self._index.shards[rows]))])

    def labels(self, column: str) -> npt.NDArray[Any] | None:
        """Return the labels, which are known."""
        return self._y if column == "y" else None

    def row_name(self, row: int) -> str:
        """Name sample and tar."""
        key, number = self._index.keys[row].as_py(), self._index.shards[row]
        return f"sample {key!r} of {self._manifests[number].path}"

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Return what tells these samples from others: not where copies of tars are."""
        kind, state = super().identity()
        return kind, {name: value for name, value in state.items() if name != "_stored"}

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if a tar changed since it was scanned, or one was added."""
        self._listing.check(self._manifests)


def _is_image(name: str) -> bool:
    """Say whether all alternatives of a field are images."""
    return all(kind_of(field) in IMAGES for field in alternatives(name))


def _check_kind(name: str) -> None:
    """Refuse fields that are neither images nor arrays."""
    if not _is_image(name) and kind_of(name.lower()) != "npy":
        raise ValueError(
            f"X={name!r} is no field of rows: these are {', '.join(IMAGES)} and npy. Of several "
            "kinds of images, name them all: 'jpg;png'."
        )


def _field_of(target: Any) -> list[str]:
    """Name the field of the labels, if they are in the tars."""
    return [split_path(target)[0]] if isinstance(target, str) else []
