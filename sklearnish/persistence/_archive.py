"""The file: one zip of stored members with a manifest, read as if a stranger had written it."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from typing import IO, Any

from sklearnish.data import atomic_path, warn

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MODEL, TENSORS, SKOPS = "model.json", "tensors.safetensors", "model.skops"

_LIBRARIES = ("sklearnish", "torch", "scikit-learn", "numpy")
_MEMBERS = re.compile("|".join(map(re.escape, (MANIFEST, MODEL, TENSORS, SKOPS))))
_MOST_JSON = 2**26
"""Bytes of JSON: parsed, they take some ten times as much memory."""

_MOST_LISTS, _MOST_ITEMS = 2**20, 2**22
"""Lists and objects of JSON, and commas: three bytes each, and many times that when parsed."""


def write_archive(path: Any, members: dict[str, bytes]) -> None:
    """Write members and manifest; the file appears under its name when it is whole."""
    manifest = {
        "format": "sklearnish",
        "format_version": FORMAT_VERSION,
        "versions": {name: version(name) for name in _LIBRARIES},
        "sha256": _hashes(members),
    }
    members = {MANIFEST: json.dumps(manifest, indent=1).encode(), **members}
    with atomic_path(path) as temporary:
        write_members(temporary, members)


def write_members(file: Any, members: dict[str, bytes]) -> None:
    """Write a zip of stored members to a path or file; the same members give the same bytes."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # which by itself has a fixed date


def read_archive(file: IO[bytes]) -> dict[str, bytes]:
    """Read and check all members; nothing is extracted to disk."""
    members = read_members(file, _MEMBERS)
    if MANIFEST not in members or MODEL not in members:
        raise ValueError(f"it has no {MANIFEST} or no {MODEL}, so sn.save did not write it.")
    manifest = parse_json(members.pop(MANIFEST), MANIFEST)
    if manifest.get("format") != "sklearnish" or manifest.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"its format is {manifest.get('format')!r}, version "
            f"{manifest.get('format_version')!r}; this sklearnish reads 'sklearnish', version "
            f"{FORMAT_VERSION}. A later version may be able to read it."
        )
    if manifest.get("sha256") != _hashes(members):
        raise ValueError("its contents are not those of its manifest: the file is damaged.")
    _warn_of_versions(manifest.get("versions"))
    return members


def read_members(file: IO[bytes], names: re.Pattern[str]) -> dict[str, bytes]:
    """Read the members of a zip whose directory was checked first.

    Members must be stored uncompressed, and be together no larger than the file: so nothing
    can unpack to more than it is.
    """
    if not zipfile.is_zipfile(file):
        raise ValueError(
            "it is no zip, or a truncated one; sn.load reads what sn.save wrote. A pickle or "
            "joblib file is a program that runs when it is loaded, so it is never tried."
        )
    size = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        for info in infos:
            _check_member(info, names)
        if len({info.filename for info in infos}) < len(infos):
            raise ValueError("it has two members of one name.")
        if sum(info.file_size for info in infos) > size:
            raise ValueError(f"its members claim to be larger than the file, {size:,} bytes.")
        return {info.filename: archive.read(info) for info in infos}


def _check_member(info: zipfile.ZipInfo, names: re.Pattern[str]) -> None:
    """Refuse what save never writes: other names, and compressed or encrypted members."""
    if not names.fullmatch(info.orig_filename):
        raise ValueError(f"it has a member {info.orig_filename!r}, which sn.save never writes.")
    stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
    if not stored or info.flag_bits & 1:
        raise ValueError(
            f"its member {info.filename!r} is compressed or encrypted; sn.save stores members as "
            "they are, so that none can unpack to more than the file."
        )


def parse_json(data: bytes, name: str) -> dict[str, Any]:
    """Parse a member that holds one JSON object."""
    _check_json(data, name)
    parsed = json.loads(data)
    if not isinstance(parsed, dict):
        raise ValueError(f"its {name} holds no JSON object.")
    return parsed


def _check_json(data: bytes, name: str) -> None:
    """Refuse JSON that is long, or takes much more memory when it is parsed than it has bytes."""
    for n, most, what in (
        (len(data), _MOST_JSON, "bytes"),
        (data.count(b"[") + data.count(b"{"), _MOST_LISTS, "lists and objects"),
        (data.count(b","), _MOST_ITEMS, "items"),
    ):
        if n > most:
            raise ValueError(f"its {name} has {n:,} {what}; the limit is {most:,}.")


def objects_in(parsed: Any) -> Iterator[dict[str, Any]]:
    """Yield every object anywhere in parsed JSON, which may be nested deeply."""
    waiting = [parsed]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            yield node


def _hashes(members: dict[str, bytes]) -> dict[str, str]:
    """Hash every member."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}


def _warn_of_versions(versions: Any) -> None:
    """Say which libraries are of another minor version than when the file was written."""
    if not isinstance(versions, dict):
        raise ValueError("its manifest names no versions.")
    here = {name: version(name) for name in _LIBRARIES}
    other = [
        f"{name} {str(versions.get(name))[:40]} (here {now})"
        for name, now in here.items()
        if str(versions.get(name)).split(".")[:2] != now.split(".")[:2]
    ]
    if other:
        warn(
            f"The model was saved with {', '.join(other)}: check that it still predicts as it did.",
            UserWarning,
        )
