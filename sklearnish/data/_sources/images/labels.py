"""Labels of images: as told, or by the folders that they lie in."""

from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._source import Field
from sklearnish.data._sources.images import names
from sklearnish.data._sources.images.names import LeftOut
from sklearnish.data._sources.images.stores import Store

Labels = npt.NDArray[Any]

_FORMATS = "JPEG, PNG or WEBP"
_LABELS = "labels=lambda path: path.parent.name"
"""What errors advise; `path` is a pathlib.PurePath."""


class Coded:
    """Labels; text is kept once per class."""

    def __init__(self, codes: Labels, classes: Labels | None = None) -> None:
        self._codes = codes
        self._classes = classes
        values = codes if classes is None else classes
        self.field = Field(values.dtype.name, "number", codes.shape[1:])
        if values.dtype.kind == "U":
            self.field = Field("string", "text", codes.shape[1:])

    @classmethod
    def of(cls, labels: Labels) -> "Coded":
        """Find the classes of text; numbers stay as they are."""
        if labels.dtype.kind != "U":
            return cls(labels)
        classes, codes = np.unique(labels, return_inverse=True)
        return cls(codes.astype(np.int32), classes)

    @classmethod
    def of_text(cls, labels: Iterable[str]) -> "Coded":
        """Do so for very many, without a sort of them all."""
        known: dict[str, int] = {}
        codes = np.fromiter((known.setdefault(label, len(known)) for label in labels), np.int32)
        classes, order = np.unique(np.array(list(known)), return_inverse=True)
        return cls(order.astype(np.int32)[codes], classes)

    def take(self, rows: Any) -> Labels:
        """Look up the labels of rows."""
        codes: Labels = self._codes[rows]
        return codes.copy() if self._classes is None else self._classes[codes]


def labelled(
    store: Store, folders: set[str], left: LeftOut, labels: Any, way: Callable[[str, str], str]
) -> tuple[Coded, str | None]:
    """Label images as told, or by their class folders; say how the paths in these begin."""
    if len(store.names) == 0:
        raise ValueError(f"{store.place('')} holds no {_FORMATS} file.")
    if labels is not None:
        return given(labels, store), None
    pictured = {name.rpartition("/")[0] for name in store.names}
    root, classes = names.find_classes(pictured, folders)
    start = f"{root}/" if root else ""
    if not classes:
        raise ValueError(
            f"{store.place('')} holds no class folders. Put the images of each class into a "
            f"folder, or pass the labels, as in {_LABELS}. To scan images without labels, pass a "
            "list of paths."
        )
    _check_classes(store, start, classes, pictured)
    if splits := names.splits_among(root, classes, pictured | folders):
        raise ValueError(
            f"{store.place('')} holds {' and '.join(map(repr, splits))}, which look like the parts "
            "of a split, not like classes. Scan one part, as in "
            f"{way(store.name, store.full(start + splits[0]))}, or name the labels: {_LABELS}."
        )
    labels = [names.class_of(name, start) for name in store.names]
    if stray := [i for i, label in enumerate(labels) if not label]:
        for i in stray:
            left.add(names.STRAY, store.names[i])
        store.keep(np.flatnonzero(labels).tolist())
    return Coded.of_text(filter(None, labels)), start


def _check_classes(store: Store, start: str, classes: list[str], pictured: set[str]) -> None:
    """Refuse a class folder without images."""
    full = {names.class_of(f"{folder}/", start) for folder in pictured}
    for name in classes:
        if name not in full:
            raise ValueError(
                f"the class folder {store.place(start + name)} holds no {_FORMATS} file. Remove it."
            )


def given(labels: Any, store: Store) -> Coded:
    """Take the labels of a user: one per image, or a function of its path."""
    if callable(labels):
        labels = [labels(PurePath(name)) for name in store.names]
    return Coded.of(_check_labels(labels, len(store.names)))


def _check_labels(labels: Any, n: int) -> Labels:
    """Check that there is one label per image."""
    known = np.asarray(labels)
    if known.ndim == 0:
        raise TypeError(
            "labels takes one label for each image, or a function of its path, as in "
            f"{_LABELS}; got {labels!r}."
        )
    if known.dtype.kind == "O" and all(isinstance(label, str) for label in known.flat):
        known = known.astype(str)
    if known.dtype.kind not in "Ubiuf":
        raise ValueError(f"labels must be numbers or text without gaps, got dtype {known.dtype}.")
    if known.shape[:1] != (n,):
        raise ValueError(f"{n} images were given and labels of shape {known.shape}.")
    return known
