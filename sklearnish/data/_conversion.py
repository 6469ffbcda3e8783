"""Converted files in a folder, found again while what they are made of is the same."""

import glob
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sklearnish.data._files import Manifest, file_lock
from sklearnish.data._parts import remove_leftovers

_FORMAT = 1  # raise it when files written before must not be read any more


class Conversion:
    """A converted file in a folder: found again while its origins and options are the same.

    Parameters
    ----------
    folder : Path
        Where the file is kept.
    label : str
        A readable beginning of its name.
    request : list
        What is made of which files, as JSON can hold it.
    manifests : sequence of Manifest
        The files that it is made of, as they are now.
    """

    def __init__(
        self, folder: Path, label: str, request: list[Any], manifests: Sequence[Manifest]
    ) -> None:
        stamps = [[m.path, m.size, m.mtime_ns] for m in manifests]
        label = re.sub(r"[^\w.-]", "_", label)[:40]
        self._folder = folder
        self._stem = f"{label}-{_digest([_FORMAT, request])}"
        self.path = folder / f"{self._stem}-{_digest(stamps)}.arrow"

    def find_or_make(self, make: Callable[[Path], None]) -> Path:
        """Return the path of the file, made by ``make(path)`` if it is not there.

        Of several processes one makes it and the others wait.
        """
        if not self.path.exists():
            with file_lock(self._folder / self._stem):
                if not self.path.exists():
                    remove_leftovers(self._folder)
                    make(self.path)
                    self._remove_stale()
        return self.path

    def _remove_stale(self) -> None:
        """Delete what was made of the same files before they changed."""
        for path in self._folder.glob(f"{glob.escape(self._stem)}-*"):
            if not path.name.startswith(self.path.stem):
                path.unlink(missing_ok=True)


def _digest(thing: Any) -> str:
    """Shorten something that JSON can hold to 16 letters."""
    return hashlib.sha256(json.dumps(thing).encode()).hexdigest()[:16]
