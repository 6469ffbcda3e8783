"""Where the fields of samples lie in tars: found by one walk over each, and kept in the cache.

A *sample* is a run of members whose names agree up to the first dot behind the last slash, its
*key*; what follows the dot, in lower case, names the *field*: a/1.jpg and a/1.cls are the fields
"jpg" and "cls" of the sample "a/1".
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._files.atomic import atomic_copy
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.conversion import Conversion, cache_folder
from sklearnish.data._files.tar import check_regular, check_whole, members, read_at
from sklearnish.data._source import IntArray

_NAME = re.compile(r"((?:.*/|)[^./][^./]*)[.]([^/]*)")
_NOTE = re.compile(r"__[^/]*__($|/)")
"""Members that WebDataset keeps for itself."""

_SMALL = 64
"""Bytes of a member, such as a class number, up to which it is kept in the index."""

_BATCH = 65_536
"""Members of a batch of the index."""

_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("field", pa.string()),
        ("sample", pa.int64()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("content", pa.binary()),
    ]
)


@dataclass(frozen=True, eq=False)
class Places:
    """Where one field of each sample lies; the size is -1 where a sample has none."""

    offsets: IntArray
    sizes: IntArray


class Index:
    """The samples of several tars.

    Parameters
    ----------
    manifests : sequence of Manifest
        The tars.
    fields : sequence of str
        Fields that are looked for; of "jpg;png" the first one that a sample has counts.

    Attributes
    ----------
    keys : pyarrow.ChunkedArray of string
        Keys of the samples, in the order of the tars.
    shards : ndarray of int32, shape (n_samples,)
        Number of the tar of each.
    places : dict of str to Places
        Where each of `fields` lies.
    fields : set of str
        All fields that there are.

    Raises
    ------
    ValueError
        A tar is compressed, truncated or damaged, or a sample has a field twice.
    OSError
        The cache folder cannot be written to.
    """

    def __init__(self, manifests: Sequence[Manifest], fields: Sequence[str]) -> None:
        keys: list[Any] = []
        found: dict[str, list[Places]] = {field: [] for field in fields}
        counts, self.fields = [], set[str]()
        for table in map(_table, manifests):
            samples = table["sample"].to_numpy()
            first = np.flatnonzero(np.diff(samples, prepend=-1))
            keys += table["key"].take(first).chunks
            counts.append(len(first))
            self.fields |= set(pc.unique(table["field"]).to_pylist())
            for field, places in found.items():
                places.append(_places(table, samples, len(first), field))
        self.keys = pa.chunked_array(keys, pa.string())
        self.shards: npt.NDArray[np.int32] = np.repeat(np.arange(len(counts), dtype="i4"), counts)
        self.places = {
            field: Places(
                np.concatenate([part.offsets for part in parts]),
                np.concatenate([part.sizes for part in parts]),
            )
            for field, parts in found.items()
        }


def contents(manifest: Manifest, field: str) -> list[bytes | None]:
    """Read one field of all samples of a tar in their order; None where a sample has none."""
    table = _table(manifest)
    samples = table["sample"].to_numpy()
    n_samples = int(samples[-1]) + 1 if len(samples) else 0
    places = _places(table, samples, n_samples, field)
    mine = table.filter(pc.and_(_among(table, field), pc.is_valid(table["content"])))
    kept = dict(zip(mine["offset"].to_pylist(), mine["content"].to_pylist(), strict=True))
    with open(manifest.path, "rb", buffering=0) as file:  # noqa: PTH123
        out: list[bytes | None] = []
        for offset, size in zip(places.offsets.tolist(), places.sizes.tolist(), strict=True):
            if size < 0:
                out.append(None)
            else:
                out.append(kept[offset] if offset in kept else read_at(file, offset, size))
    manifest.check()
    return out


def _among(table: Any, field: str) -> Any:
    """Tell which members are one of the fields of "jpg;png"."""
    return pc.is_in(table["field"], pa.array(alternatives(field), pa.string()))


def alternatives(field: str) -> list[str]:
    """Split "jpg;png"."""
    return [name.strip().lower() for name in field.split(";")]


def _places(table: Any, samples: IntArray, n_samples: int, field: str) -> Places:
    """Find one field of all samples of a tar."""
    offsets, sizes = np.zeros(n_samples, np.int64), np.full(n_samples, -1, np.int64)
    for name in reversed(alternatives(field)):  # the first one is written last
        rows = np.flatnonzero(pc.equal(table["field"], name).to_numpy())
        offsets[samples[rows]] = table["offset"].to_numpy()[rows]
        sizes[samples[rows]] = table["size"].to_numpy()[rows]
    return Places(offsets, sizes)


def _table(manifest: Manifest) -> Any:
    """Find the index of a tar in the cache folder, or make it."""
    request = ["members of a tar", manifest.path]
    plan = Conversion(cache_folder(), Path(manifest.path).stem, request, [manifest])
    return plan.open_or_make(_open, lambda path: _make(path, manifest))


def _open(path: Path) -> Any:
    """Map an index; ValueError if it is damaged."""
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    if table.schema != _SCHEMA:
        raise ValueError(f"{path} is no index of a tar. Delete it; it will be made again.")
    return table


def _make(path: Path, manifest: Manifest) -> None:
    """Write the index of a tar, a batch of members at a time."""
    with atomic_copy(path, [manifest.path]) as part, pa.OSFile(str(part), "wb") as sink:
        with pa.ipc.new_file(sink, _SCHEMA) as writer:
            rows: list[tuple[Any, ...]] = []
            for row in _walk(manifest):
                rows.append(row)
                if len(rows) == _BATCH:
                    writer.write_table(_as_table(rows))
                    rows = []
            writer.write_table(_as_table(rows))
        manifest.check()


def _as_table(rows: list[tuple[Any, ...]]) -> Any:
    """Turn rows into columns."""
    columns = zip(*rows, strict=True) if rows else [()] * len(_SCHEMA)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, _SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def _walk(manifest: Manifest) -> Iterator[tuple[Any, ...]]:
    """Yield key, field, number of the sample, offset, size and content of each member."""
    path, sample, last, fields = Path(manifest.path), -1, None, set[str]()
    with path.open("rb", buffering=0) as file:
        for member in members(path):
            name = None if member.isdir() else _split(member.name)
            if name is None:
                continue
            check_regular(member, path)
            check_whole(member, manifest)
            key, field = name
            if key != last:
                sample, last, fields = sample + 1, key, set()
            if field in fields:
                raise ValueError(
                    f"{path} has the field {field!r} of the sample {key!r} twice. A name must be "
                    "unique up to its first dot: pack the samples again under different keys."
                )
            fields.add(field)
            small = member.size <= _SMALL
            content = read_at(file, member.offset_data, member.size) if small else None
            yield key, field, sample, member.offset_data, member.size, content


def _split(name: str) -> tuple[str, str] | None:
    """Split the name of a member into key and field; None if it belongs to no sample."""
    plain = os.fsencode(name).decode(errors="replace")  # Arrow holds UTF-8
    match = None if _NOTE.match(plain) else _NAME.fullmatch(plain)
    return None if match is None else (match[1], match[2].lower())
