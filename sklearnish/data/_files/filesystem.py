"""Filesystems of fsspec and pyarrow: what is taken for one, and which places it reads."""

import hashlib
import inspect
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

from sklearnish.data._files.paths import without_credentials

_SECRET = re.compile(
    "key|secret|pass|pwd|token|user|login|auth|cred|sas|sig|cookie|header|connection|session|cert"
    "|private",
    re.IGNORECASE,
)
"""Arguments of these names are left out: a hash of a short secret could be guessed."""


def checked(given: Any) -> Any:
    """Check what was given as a filesystem, or wrap one of pyarrow."""
    from fsspec import AbstractFileSystem
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import FileSystem

    if isinstance(given, FileSystem):
        given = ArrowFSWrapper(given)
    if not isinstance(given, AbstractFileSystem):
        raise TypeError(
            "filesystem takes a filesystem of fsspec, such as fsspec.filesystem('s3'), or of "
            f"pyarrow.fs, got {type(given).__name__}."
        )
    if getattr(given, "asynchronous", False):
        raise ValueError("filesystem is made with asynchronous=True. Make it without.")
    return given


def origin_of(filesystem: Any) -> str:
    """Spell which places a filesystem reads, as a hash that no secret went into.

    Objects of one path, size and time may be two: of archives, folders, hosts or endpoints that
    the filesystem was made for.
    """
    text = json.dumps(_spelled(filesystem), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def in_archive(filesystem: Any) -> bool:
    """Tell whether objects are members of an archive, whose times say nothing of when it changed.

    Of a zip the checksums tell members apart.
    """
    from fsspec.archive import AbstractArchiveFileSystem

    return any(isinstance(one, AbstractArchiveFileSystem) for one in _nested(filesystem))


def is_arrow(filesystem: Any) -> bool:
    """Tell whether objects are opened by pyarrow in the end."""
    from fsspec.implementations.arrow import ArrowFSWrapper

    return any(isinstance(one, ArrowFSWrapper) for one in _nested(filesystem))


def _nested(filesystem: Any) -> Iterator[Any]:
    """Yield a filesystem, the one that it passes requests on to, and so on."""
    from fsspec import AbstractFileSystem

    while isinstance(filesystem, AbstractFileSystem):
        yield filesystem
        filesystem = getattr(filesystem, "fs", None)


def _spelled(value: Any) -> Any:
    """Spell an argument as JSON can hold it; of objects that say no more, the type."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | os.PathLike):
        return without_credentials(os.fsdecode(value))
    if isinstance(value, Mapping):
        known = {str(name): item for name, item in value.items()}
        return {n: _spelled(item) for n, item in known.items() if not _SECRET.search(n)}
    if isinstance(value, Collection) and not isinstance(value, bytes | bytearray):
        parts = [_spelled(item) for item in value]
        return parts if isinstance(value, list | tuple) else sorted(parts, key=json.dumps)
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return [kind, _spelled(_arguments(value))]


def _arguments(value: Any) -> Any:
    """Find what a filesystem was made of; None of other objects."""
    from fsspec import AbstractFileSystem
    from pyarrow import fs

    if isinstance(value, AbstractFileSystem):
        return {**_named(type(value), value.storage_args), **value.storage_options}
    if isinstance(value, fs.FSSpecHandler):
        return value.fs
    if isinstance(value, fs.FileSystem):
        return value.__reduce__()[1]
    return None


def _named(kind: Any, given: tuple[Any, ...]) -> dict[str, Any]:
    """Name arguments that were given by their place: the names tell which are secret."""
    with suppress(TypeError, ValueError):
        signature = inspect.signature(kind.__init__)  # of the class, it would be fsspec's own
        bound = signature.bind_partial(None, *given).arguments
        several = inspect.Parameter.VAR_POSITIONAL
        named = list(bound.items())[1:]
        return {n: value for n, value in named if signature.parameters[n].kind != several}
    return {}
