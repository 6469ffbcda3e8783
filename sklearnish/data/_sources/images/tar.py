"""Images in an uncompressed tar, which are read by offset and never extracted."""

import os
import tarfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.local_copy import errors_of, local_copy
from sklearnish.data._files.tar import check_regular, check_whole, members, read_members
from sklearnish.data._source import IntArray
from sklearnish.data._sources.images.names import HIDDEN, LeftOut, is_hidden, takes
from sklearnish.data._sources.images.stores import Names, Store


class Tar(Store):
    """Members of an uncompressed tar, read by offset and never extracted.

    Parameters
    ----------
    manifest : Manifest
        The tar; of a store it is copied once into the cache folder.
    root : str
        Folder in it that is read; "" for all.
    left : LeftOut
        Takes what is left out.

    Attributes
    ----------
    found : set of str
        The folders that are members themselves, as paths relative to the root.
    """

    def __init__(self, manifest: Manifest, root: str, left: LeftOut) -> None:
        self.name = manifest.path
        self._scanned, self._manifest = manifest, local_copy(manifest)
        self._start = f"{root}/" if root else ""
        self._offsets, self._sizes = array("q"), array("q")
        self.found: set[str] = set()
        with errors_of(manifest, self._manifest):
            self.names = Names(self._index(Path(self._manifest.path), left))

    def _index(self, path: Path, left: LeftOut) -> Iterator[bytes]:
        """Note where each image lies; yield their names."""
        for member in members(path):
            name = self._inside(member, left)
            if name and check_regular(member, path) and takes(name, self.name, left):
                check_whole(member, self._manifest)
                self._offsets.append(member.offset_data)
                self._sizes.append(member.size)
                yield os.fsencode(name)

    def _inside(self, member: tarfile.TarInfo, left: LeftOut) -> str:
        """Spell a file as a path from the root; "" for folders, and for what is not looked at."""
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        path = "/".join(parts)
        if not path.startswith(self._start):
            return ""
        folders = parts if member.isdir() else parts[:-1]
        for i in range(self._start.count("/"), len(folders)):
            if is_hidden(folders[i]):
                left.add_folder(HIDDEN, "/".join(folders[: i + 1]))
                return ""
        if member.isdir():
            self.found.add(path[len(self._start) :])
            return ""
        return path[len(self._start) :]

    def place(self, name: str) -> str:
        """Name tar and member."""
        member = self.full(name).rstrip("/")
        return f"{member} in {self.name}" if member else self.name

    def full(self, name: str) -> str:
        """Spell the name of a member."""
        return f"{self._start}{name}"

    def read(self, rows: IntArray) -> Iterator[bytes]:
        """Read members in the order of the rows."""
        places = ((self._offsets[row], self._sizes[row]) for row in rows.tolist())
        return read_members(self._manifest, places)

    def check_unchanged(self) -> None:
        """Compare the tar, and its copy if there is one, with what was scanned."""
        self._scanned.check()
        self._manifest.check()

    def identity(self) -> Any:
        """Return what tells these images from others: not where the copy of a tar is."""
        return {name: value for name, value in vars(self).items() if name != "_manifest"}
