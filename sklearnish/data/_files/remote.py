"""Objects of a store as files: found, watched and opened."""

import hashlib
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._files.changes import Item, Listing, Manifest, Result
from sklearnish.data._files.paths import check_each, is_data, path_text
from sklearnish.data._files.remote_file import RemoteFile, StreamedFile
from sklearnish.data._files.store import REQUESTS, Store, digest, is_sure, version
from sklearnish.data._system.threads import in_threads
from sklearnish.data._system.warn import warn

_SAMPLES, _SAMPLE = 8, 2**16
"""Pieces that are compared of an object of which the store tells no sure version, and bytes of one.
"""

_PIECE = 2**22
"""Bytes that are hashed at a time."""

_AT_ONCE = 2**27
"""Bytes that are read at once, in memory; one piece may have more."""

_FOOTER = 8
"""Bytes at the end of a file that say how long the rest of its footer is."""


@dataclass(frozen=True, slots=True)
class RemoteManifest(Manifest):
    """What an object looked like when it was scanned; its path is a URL without credentials."""

    store: Store | None = field(default=None, repr=False)
    location: str = field(default="", repr=False)
    version: str = ""
    sure: bool = False

    @classmethod
    def of_object(
        cls, store: Store, location: str, info: dict[str, Any] | None = None
    ) -> "RemoteManifest":
        """Look at an object now, unless it was done before."""
        info, name = info or store.info(location), store.name(location)
        size = info.get("size")
        if size is None:
            raise ValueError(f"{name} cannot be read in parts: the store does not tell its size.")
        return cls(name, int(size), 0, 0, 0, store, location, version(info), is_sure(info))

    @property
    def _store(self) -> Store:
        """The store, which there always is."""
        assert self.store is not None
        return self.store

    def check(self) -> None:
        """Raise DatasetChangedError if the object is no longer the same; this is a request."""
        try:
            now = RemoteManifest.of_object(self._store, self.location)
        except FileNotFoundError as error:
            raise DatasetChangedError(
                f"{self.path} cannot be found any more. Put it back, or scan again."
            ) from error
        if (self.size, self.version) != (now.size, now.version):
            raise DatasetChangedError(
                f"{self.path} changed since it was scanned (size {self.size} -> {now.size} bytes; "
                f"{self.version} -> {now.version}). Scan again, and do not write to an object "
                "that is being read."
            )

    def glance(self) -> None:
        """Do nothing: a request for each block would take longer than the block."""

    def stamp(self, place: int | None) -> list[Any]:
        """Return what tells this version from others, and ask for samples where that may fail.

        Of very many objects, without a place, there are samples only where nothing is told.
        """
        known = [f"{self.origin} {self.path}", self.size, self.version]
        if self.sure or (place is None and self.version):
            return known
        return [*known, self._samples()]

    def stamp_of_content(self, place: int) -> list[Any]:
        """Return a stamp; of an object without version and time it has a hash of the whole."""
        stamp = self.stamp(place)
        dated = self.version and not self._store.in_archive
        return stamp if self.sure or dated else [*stamp, self._hash()]

    @property
    def origin(self) -> str:
        """Which store the object is in: another may have one of the same name and time."""
        return self._store.origin

    def _samples(self) -> str:
        """Hash pieces of the object that are spread over it."""
        last = max(0, self.size - _SAMPLE)
        starts = sorted({last * i // (_SAMPLES - 1) for i in range(_SAMPLES)})
        ranges = [(start, min(self.size, start + _SAMPLE)) for start in starts]
        return digest(b"".join(self._store.read_ranges(self.location, ranges)))

    def _hash(self) -> str:
        """Hash all bytes of the object, read in order."""
        whole = hashlib.sha256()
        with StreamedFile(self) as file:
            while piece := file.read(_PIECE):
                whole.update(piece)
        return whole.hexdigest()

    def open(self) -> RemoteFile:
        """Open the object for reading at any place."""
        return RemoteFile(self)

    def stream(self) -> Any:
        """Open the object for reading in order, as a file of Arrow."""
        return pa.PythonFile(StreamedFile(self), "r")

    def for_arrow(self) -> RemoteFile:
        """Open the object: Arrow knows no path of it."""
        return self.open()

    def read_tail(self, n: int) -> bytes:
        """Read the last bytes, which are kept for the next who asks."""
        return self._store.read_tail(self.location, self.version, self.size, n)

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read several ranges at once."""
        return self._store.read_ranges(self.location, ranges)


@dataclass(frozen=True, slots=True)
class RemoteListing(Listing):
    """The folders and globs of a store that objects were found in."""

    store: Store | None = field(default=None, repr=False)
    wanted: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def find(
        cls, store: Store, paths: Sequence[Any], suffixes: Sequence[str]
    ) -> tuple[list[Manifest], Listing]:
        """List objects, and remember where they were looked for."""
        if not paths:
            raise FileNotFoundError("no file was given: the list of paths is empty.")
        texts = [path_text(path) for path in paths]
        lists = store.at_once(lambda text: _objects(store, text, tuple(suffixes)), texts)
        places = [text for text, (_, info) in zip(texts, lists, strict=True) if not info]
        objects = [(location, info) for some, info in lists for location in some]
        manifests: list[Manifest] = store.at_once(
            lambda pair: RemoteManifest.of_object(store, *pair), objects
        )
        check_each((manifest.path, manifest.size) for manifest in manifests)
        names = tuple(store.name(store.location(place)) for place in places)
        return manifests, cls(names, tuple(suffixes), store, tuple(places))

    def check(self, manifests: Sequence[Manifest]) -> None:
        """Raise DatasetChangedError if one of the objects changed, or there is a further one."""
        self.check_read(lambda: manifests)
        known = {manifest.path for manifest in manifests}
        for place in self.wanted:
            for location in _objects(self._store, place, self.suffixes)[0]:
                if (name := self._store.name(location)) not in known:
                    raise DatasetChangedError(
                        f"{name} was added since it was scanned. Scan again to read it, or "
                        "remove it."
                    )

    @property
    def given(self) -> tuple[str, ...]:
        """The folders and globs, as `has` takes them."""
        return self.wanted

    def has(self, folder: str, name: str) -> bool:
        """Tell whether a folder has something of a name, or a glob: one request."""
        store = self._store
        location = store.location(f"{folder}/{name}")
        look = store.filesystem.glob if "*" in name else store.filesystem.exists
        try:
            return bool(store.tried(location, lambda: look(location)))
        except (FileNotFoundError, PermissionError):
            return False

    def shown(self, folder: str) -> str:
        """Spell a folder for errors."""
        return self._store.name(self._store.location(folder))

    @property
    def _store(self) -> Store:
        """The store, which there always is."""
        assert self.store is not None
        return self.store

    def warn_if_unwatched(self, manifests: Sequence[Manifest]) -> None:
        """Warn of objects that are read in place, of which the store tells the size alone."""
        unwatched = [file.path for file in manifests if not getattr(file, "version", "")]
        if unwatched:
            more = f" and of {len(unwatched) - 1} more" * (len(unwatched) > 1)
            warn(
                f"The store tells no version and no time of {unwatched[0]}{more}, only the size: "
                "if an object is replaced by another of the same size, rows of both may be mixed "
                "in silence. Do not replace it while the Dataset is in use, or have the server "
                "send ETag or Last-Modified.",
                UserWarning,
            )

    def check_read(self, manifests: Callable[[], Sequence[Manifest]]) -> None:
        """Look at objects of which much was read: a request for each, several at once."""
        self._store.at_once(lambda manifest: manifest.check(), manifests())

    @contextmanager
    def checking(self, manifests: Callable[[], Sequence[Manifest]]) -> Iterator[None]:
        """Look at objects while they are read: what changes meanwhile, the next look notices."""
        with ThreadPoolExecutor(1, "sklearnish-ahead") as pool:
            looked = pool.submit(self.check_read, manifests)
            yield
            looked.result()

    def with_ends(self, manifests: Sequence[Manifest]) -> Iterator[Manifest]:
        """Yield objects whose ends are read and kept; the next ones are read meanwhile."""

        def with_end(manifest: Manifest) -> Manifest:
            manifest.read_tail(_FOOTER)
            return manifest

        return in_threads(with_end, manifests, REQUESTS)

    def each(
        self, function: Callable[[Item], Result], items: Sequence[Item], nbytes: float
    ) -> Generator[Result, None, None]:
        """Apply a function that reads to items in their order, as many at once as fit 128 MB."""
        if len(items) < 2:
            return (function(item) for item in items)
        n = int(max(1, min(REQUESTS, _AT_ONCE // max(1.0, nbytes))))
        return in_threads(function, items, n, n - 1)


def _objects(
    store: Store, text: str, suffixes: tuple[str, ...]
) -> tuple[list[str], dict[str, Any]]:
    """List the objects of a path, glob or folder; of a path, say what is known of the object."""
    location = store.location(text)
    if not text.endswith("/"):
        try:
            info = store.info(location)
        except FileNotFoundError:
            if not re.search(r"[*\[]", text):
                raise
            return _matches(store, location), {}
        if info.get("type") != "directory":
            return [location], info
    return _in_folder(store, location, suffixes), {}


def _matches(store: Store, location: str) -> list[str]:
    """List the objects that a glob matches."""
    found = store.tried(location, lambda: store.filesystem.glob(location, detail=True))
    files = sorted(name for name, info in found.items() if info.get("type") != "directory")
    if not files:
        raise FileNotFoundError(f"no object matches {store.name(location)}.")
    return files


def _in_folder(store: Store, folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """List the data objects under a folder."""

    def ask() -> list[str]:
        store.filesystem.invalidate_cache(folder)
        found: list[str] = store.filesystem.find(folder)
        return found

    found = store.tried(folder, ask)
    files = sorted(f for f in found if is_data(f.removeprefix(folder).strip("/"), suffixes))
    if not files:
        wanted = " or ".join(suffixes) or "data"
        raise FileNotFoundError(f"the folder {store.name(folder)} holds no {wanted} object.")
    return files
