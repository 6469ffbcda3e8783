"""Paths: which files are meant by what the user gave."""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A path, a glob, a directory, or several of them."""


def expand_paths(paths: Paths, suffixes: Sequence[str] = ()) -> list[Path]:
    """List the files that a path, glob, directory or list of them stands for.

    Matches of a glob and files of a directory (searched recursively; names that start with
    "." or "_" are skipped) come in sorted order, those of a list in the order of the list.

    Parameters
    ----------
    paths : str, path or iterable of them
        What the user gave.
    suffixes : sequence of str, default=()
        Endings that count in a directory, such as (".parquet",); any if empty.

    Returns
    -------
    list of Path
        Absolute paths of existing files that are not empty.

    Raises
    ------
    FileNotFoundError
        A file is missing, a glob or a directory has no match, a path is empty.
    ValueError
        A file is empty, is given twice, or a path is a URL.
    TypeError
        Something is neither a str nor a path.
    """
    given = as_list(paths)
    if not given:
        raise FileNotFoundError("no file was given: the list of paths is empty.")
    files = [file for item in given for file in expand(item, tuple(suffixes))]
    check_each((str(file), file.stat().st_size) for file in files)
    return files


def check_each(files: Iterable[tuple[str, int]]) -> None:
    """Refuse files, by name and size, that are empty or given twice."""
    seen = set()
    for name, size in files:
        if name in seen:
            raise ValueError(f"{name} is given twice: its rows would be read twice. Remove one.")
        seen.add(name)
        if size == 0:
            raise ValueError(f"{name} is empty (0 bytes). Remove it, or write it again.")


def path_text(path: object) -> str:
    """Spell a path as text; an empty one, for pathlib the current folder, was never meant."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"expected a path (str or pathlib.Path), got {type(path).__name__}.")
    text: str = os.fspath(path)
    if not text:
        raise FileNotFoundError(
            "an empty path was given. Give a file or folder ('.' is the current folder); if the "
            "path comes from an environment variable or a setting, set it."
        )
    return text


def is_url(text: str) -> bool:
    """Tell a URL from a path, which may hold a colon too."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def needs_filesystem(url: str) -> str:
    """Say that nothing is opened by a URL alone, and what to pass."""
    protocol = url.partition("://")[0].lower()
    return (
        f"{without_credentials(url)} is a URL. Pass the filesystem that it is read from too: "
        f'filesystem=fsspec.filesystem("{protocol}").'
    )


def without_credentials(text: str) -> str:
    """Take out of URLs what is before "@" and after "?"."""
    text = re.sub(r"(\w://)[^/\s'\"]*@", r"\1", text)
    return re.sub(r"(\w://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text)


def shown_cause(error: Exception) -> Exception | None:
    """Return an error as the cause of another, unless what it says has credentials."""
    text = str(error)
    return error if without_credentials(text) == text else None


def absolute(item: object) -> Path:
    """Spell a path in full, whatever the current folder will be."""
    return Path(os.path.abspath(Path(str(item)).expanduser()))  # noqa: PTH100 - keeps links


def as_list(paths: object) -> list[object]:
    """List one path, or an iterable of paths."""
    if isinstance(paths, str | os.PathLike):
        return [paths]
    if not isinstance(paths, Iterable):
        raise TypeError(f"expected a path or a list of paths, got {type(paths).__name__}.")
    return list(paths)


def expand(item: object, suffixes: tuple[str, ...]) -> list[Path]:
    """List the files of one path, glob or directory."""
    text = path_text(item)
    if is_url(text):
        raise ValueError(needs_filesystem(text))
    path = absolute(text)
    if path.is_dir():
        return _in_folder(path, suffixes)
    if path.exists():
        return [path]
    if not glob.has_magic(text):
        raise FileNotFoundError(
            f"{text} does not exist (looked for {path}). Check the spelling and the current folder."
        )
    found = sorted(Path(n) for n in glob.glob(str(path), recursive=True))  # noqa: PTH207
    files = [name for name in found if name.is_file()]
    if not files:
        raise FileNotFoundError(f"no file matches {text} (searched in {Path.cwd()}).")
    return files


def _in_folder(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the data files under a folder."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and is_data(path.relative_to(folder).as_posix(), suffixes)
    ]
    if not files:
        wanted = " or ".join(suffixes) or "data"
        raise FileNotFoundError(f"the folder {folder} holds no {wanted} file.")
    return files


def is_data(inside: str, suffixes: tuple[str, ...]) -> bool:
    """Tell a data file in a folder from what is hidden, or ends in another way."""
    hidden = any(part.startswith((".", "_")) for part in inside.split("/"))
    return not hidden and (not suffixes or inside.lower().endswith(suffixes))


def describe(paths: Paths, files: Sequence[str]) -> str:
    """Name a path as it was given, several by the first of their files, for reprs and errors."""
    if isinstance(paths, str | os.PathLike):
        return without_credentials(os.fspath(paths))
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
