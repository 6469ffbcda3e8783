"""Which files are images, which are left out, and which folder is the class of an image."""

import re
from collections.abc import Iterable

from sklearnish.data._system.warn import warn

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".jpg_large", ".png", ".webp")
_OTHER_PICTURES = (
    ".gif", ".bmp", ".dib", ".tif", ".tiff", ".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2",
    ".j2k", ".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".ico", ".svg", ".dcm", ".dng", ".cr2",
    ".cr3", ".nef", ".arw", ".exr", ".hdr", ".psd",
)  # fmt: skip
_LITTER = (".ds_store", "thumbs.db", "desktop.ini")
"""What systems write into folders of images, beside files that begin with "._"."""

_SPLIT = re.compile(
    r"(train(ing)?|test(ing)?|val(id(ation)?)?|dev|eval(uation)?|hold[-_ ]?out)"
    r"([-_ ]?(set|split|data|images|\d+))?",
    re.IGNORECASE,
)
_DEEPEST = 32
"""Folders that hold nothing but one folder, one in the other."""

_NAMED = 3
"""Names that a warning gives for each reason."""

HIDDEN = "hidden"
OTHER = "of other kinds"
STRAY = "in no class folder"
LOOP = "linked to a folder around it"


class LeftOut:
    """Files and folders that were met and not taken: how many, why, and a few of their names."""

    def __init__(self) -> None:
        self._met: dict[str, tuple[int, list[str]]] = {}  # by reason
        self._folders: set[str] = set()

    def add(self, why: str, name: str) -> None:
        """Count one."""
        n, some = self._met.get(why, (0, []))
        self._met[why] = n + 1, some if n >= _NAMED else [*some, name]

    def add_folder(self, why: str, name: str) -> None:
        """Count a folder once, however often it is met."""
        if name not in self._folders:
            self._folders.add(name)
            self.add(why, name)

    def warn(self, where: str) -> None:
        """Say once what was left out, if anything was."""
        if not self._met:
            return
        parts = [
            f"{n:,} {why} ({', '.join(some)}{', ...' * (n > _NAMED)})"
            for why, (n, some) in self._met.items()
        ]
        n = sum(count for count, _ in self._met.values())
        what = f"{n:,} files or folders" if n > 1 else "a file or folder"
        warn(
            f"scan_images left out {what} of {where}: {'; '.join(parts)}. It reads the JPEG, PNG "
            "and WEBP files in class folders.",
            UserWarning,
        )


def is_hidden(name: str) -> bool:
    """Say whether a file or folder is one that people do not see, or that macOS adds to archives.

    Jupyter writes copies of images to such a folder.
    """
    return name.startswith(".") or name == "__MACOSX"


def takes(path: str, where: str, left: LeftOut) -> bool:
    """Say whether a file is an image we read; count it if not.

    Raises
    ------
    ValueError
        It is an image of a format that we do not read.
    """
    name = path[path.rfind("/") + 1 :].lower()
    if name.endswith(SUFFIXES) and name[0] != ".":
        return True
    if name.startswith("._") or name in _LITTER:
        return False
    if is_hidden(name):
        left.add(HIDDEN, path)
        return False
    if name.endswith(_OTHER_PICTURES):
        raise ValueError(f"{path} in {where} is not JPEG, PNG or WEBP. Convert it, or remove it.")
    left.add(OTHER, path)
    return False


def find_classes(pictured: set[str], folders: set[str]) -> tuple[str, list[str]]:
    """Find the folders that are classes: those of the first level at which there are several.

    One folder, with images and at most one folder in it, is a class, too.

    Parameters
    ----------
    pictured : set of str
        Folders with images right in them, as paths from where the scan began.
    folders : set of str
        All folders.

    Returns
    -------
    root : str
        The folder that the classes are in.
    classes : list of str
        Their names, sorted.
    """
    every = (pictured | folders) - {""}
    root, classes = "", _folders_in("", every)
    for _ in range(_DEEPEST):
        only = f"{root}/{classes[0]}".lstrip("/") if len(classes) == 1 else ""
        deeper = _folders_in(only, every) if only else []
        if len(deeper) < 1 + (only in pictured):
            break
        root, classes = only, deeper
    return root, classes


def _folders_in(root: str, folders: Iterable[str]) -> list[str]:
    """List the names of the folders right in a folder."""
    start = f"{root}/" if root else ""
    return sorted({f[len(start) :].partition("/")[0] for f in folders if f.startswith(start)})


def splits_among(root: str, classes: list[str], folders: set[str]) -> list[str]:
    """List classes named as the parts of a split, if all are, or any of them holds folders.

    The first is one to scan: it holds folders, and is for training if there is such a one.
    """
    splits = [name for name in classes if _SPLIT.fullmatch(name)]
    start = f"{root}/" if root else ""
    nested = [name for name in splits if _folders_in(f"{start}{name}", folders)]
    if len(splits) == 1 or not (nested or len(splits) == len(classes)):
        return []
    return sorted(splits, key=lambda n: (n not in nested, not n.lower().startswith("train")))


def class_of(path: str, start: str) -> str:
    """Name the folder right below where the classes begin; "" for an image in none."""
    if not path.startswith(start):
        return ""
    name, slash, _ = path[len(start) :].partition("/")
    return name if slash else ""
