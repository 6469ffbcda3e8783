"""Uncompressed tars, whose members are read by offset and never extracted."""

import tarfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from sklearnish.data._errors import explained
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.limits import MEMBERS, check_limit

_COMPRESSED = {
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"(\xb5/\xfd": "unzstd",
    b"PK\x03\x04": "unzip",
}


def _check_end(path: Path, offset: int) -> None:
    """Check that the walk ended at the mark of the end, not at damage, which tarfile skips."""
    with path.open("rb") as file:
        file.seek(offset)
        mark = file.read(tarfile.BLOCKSIZE)
    if len(mark) < tarfile.BLOCKSIZE or any(mark):
        raise ValueError(f"{path} is truncated or damaged at byte {offset:,}. Pack it again.")


def members(path: Path) -> Iterator[tarfile.TarInfo]:
    """Walk over the members of a tar that is fit to be read by offset."""
    _check_uncompressed(path)
    with _tar_errors(path), tarfile.open(path, "r:") as tar:
        count, end = 0, -1
        while (member := _next(tar, path)) is not None:
            vars(tar)["members"].clear()  # tarfile would keep an object per member
            if tar.offset <= end:  # a negative size would be walked in a circle
                raise ValueError(f"{path} is damaged: {member.name} ends before it begins.")
            end = tar.offset
            count += 1
            check_limit(MEMBERS, count, f"{path} holds more than {count - 1:,} members")
            _check_inside(member, path)
            yield member
    _check_end(path, tar.offset)


def _next(tar: tarfile.TarFile, path: Path) -> tarfile.TarInfo | None:
    """Read the next header."""
    with _tar_errors(path, ArithmeticError, OSError, RecursionError, ValueError):
        return tar.next()


def _tar_errors(path: Path, *more: type[Exception]) -> AbstractContextManager[None]:
    """Name the file in the errors of tarfile, and in those that a damaged header ends in."""
    text = "is truncated or not a tar file"
    kinds: tuple[type[Exception], ...] = (tarfile.TarError, EOFError, *more)
    return explained(path, kinds, lambda error: ValueError(f"{path} {text} ({error})."))


def _check_inside(member: tarfile.TarInfo, path: Path) -> None:
    """Refuse a name that leads out of the tar."""
    parts = member.name.split("/")
    if parts[0] == "" or ".." in parts:
        raise ValueError(f"{path} has a member that leads out of it: {member.name}. Pack it again.")


def check_regular(member: tarfile.TarInfo, path: Path) -> bool:
    """Refuse links and special files."""
    if not member.isreg() or member.issparse():
        raise ValueError(
            f"{member.name} in {path} is a link or special file. Pack again with --dereference."
        )
    return True


def check_whole(member: tarfile.TarInfo, manifest: Manifest) -> None:
    """Refuse a member that its tar does not hold all of."""
    if not 0 <= member.size <= manifest.size - member.offset_data:
        raise ValueError(f"{manifest.path} is truncated within its member {member.name}.")


def read_members(manifest: Manifest, places: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """Read members through a handle of this call's own: none to share, fork or close.

    Parameters
    ----------
    manifest : Manifest
        The tar, which is looked at after each read: it may have changed meanwhile.
    places : iterable of (int, int)
        Offset and size of each.

    Yields
    ------
    bytes
        Their content.
    """
    try:
        with open(manifest.path, "rb", buffering=0) as file:  # noqa: PTH123
            for offset, size in places:
                data = read_at(file, offset, size)
                manifest.check()
                yield data
    except OSError:
        manifest.check()  # says that it is gone
        raise


def read_at(file: IO[bytes], offset: int, size: int) -> bytes:
    """Read a member."""
    file.seek(offset)
    return file.read(size)


def _check_uncompressed(path: Path) -> None:
    """Refuse a compressed tar, which has no offsets to read at."""
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise ValueError(f"{path} is empty (0 bytes).")
    for magic, command in _COMPRESSED.items():
        if start.startswith(magic):
            raise ValueError(
                f"{path} is compressed, so single members cannot be read from it. Decompress it "
                f"once: {command} {path.name} (images hardly shrink anyway)."
            )
