"""Any map-style torch Dataset of ``(x, y)`` pairs.

Its ``__getitem__`` may draw random numbers (a ``transform=`` with random crops): each row finds
the global generators seeded for it, so that the process that reads it makes no difference.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from sklearnish.data._batch import Features
from sklearnish.data._outputs import Filler, as_features, check_rows
from sklearnish.data._randomness import (
    Randomness,
    one_thread,
    restored_generators,
    seed_generators,
)
from sklearnish.data._source import Column, Field, IntArray, Source

Collate = Callable[[list[Any]], Any]
Labels = npt.NDArray[Any]

_COMPARED = 32
"""Items whose labels are compared with those that the dataset keeps beside them."""

_KINDS = {"U": "text"} | dict.fromkeys("biuf", "number")


class TorchDatasetSource(Source):
    """Rows of a torch Dataset: the field "X", and "y" where its items are pairs.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        With ``__getitem__`` and ``__len__``. Items are ``(x, y)``, ``(x,)`` or x alone; x is a
        tensor, an array, a number or a dict of tensors, y a number, a text, a tensor or an
        array. Its ``__getitems__``, if it has one, is given many rows at a time.
    collate_fn : callable, default=None
        Makes ``(X, y)``, or X, of a list of items. The list holds any number of rows, not a
        training batch: what it returns for a row must not depend on the others.

    Attributes
    ----------
    uses_global_generators : bool
        Whether reading runs the user's code, which may draw from the global generators, and so
        must not happen in a thread beside the training step.

    Raises
    ------
    TypeError
        If the dataset is iterable-style, has no length, or its items are something else.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from sklearnish.data._sources.torch_datasets import TorchDatasetSource
    >>> source = TorchDatasetSource(TensorDataset(torch.eye(3), torch.tensor([0, 1, 2])))
    >>> source.read(np.array([2, 0]), ["y"])
    {'y': tensor([2, 0])}
    """

    tabular = False

    def __init__(self, dataset: Dataset[Any], collate_fn: Collate | None = None) -> None:
        self.name = type(dataset).__name__
        self.n_rows = _length(dataset)
        self._dataset, self._places = _unwrap(dataset)
        self._collate = collate_fn
        self.tensors = self._find_tensors()
        self.in_memory = self.tensors is not None
        self.uses_global_generators = not self.in_memory
        if self.n_rows == 0:
            raise ValueError(f"{self.name} has 0 rows; at least one is needed.")
        X, y = self._read(np.zeros(1, np.int64), with_x=True, with_y=True, seeds=None)
        assert X is not None
        self.schema = {"X": _field(X)}
        if y is not None:
            self.schema["y"] = _field(y)
        self._first_y = y
        self._no_x = (
            {k: v[:0].clone() for k, v in X.items()} if isinstance(X, dict) else X[:0].clone()
        )

    def _find_tensors(self) -> tuple[Tensor, ...] | None:
        """Find the tensors of a plain TensorDataset, which can be indexed at once."""
        if type(self._dataset) is not TensorDataset or self._collate is not None:
            return None
        tensors = self._dataset.tensors
        return tensors if len(tensors) <= 2 else None

    def read(
        self, rows: IntArray, columns: Sequence[str], seeds: Sequence[int] | None = None
    ) -> dict[str, Column]:
        """Fetch items and stack them.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Row numbers, in any order.
        columns : sequence of str
            "X", "y" or both.
        seeds : sequence of int, shape (n,), default=None
            What the global generators are seeded with for each row (for the first one alone,
            where ``__getitems__`` fetches them all); derived from the row number by default.

        Returns
        -------
        dict of str to Tensor, dict of Tensor or ndarray of str
            The values in the order of `rows`.
        """
        if len(rows) == 0:
            held = {"X": self._no_x, "y": None if self._first_y is None else self._first_y[:0]}
            return {name: held[name] for name in columns}
        X, y = self._read(rows, with_x="X" in columns, with_y="y" in columns, seeds=seeds)
        held = {"X": X, "y": y}
        return {name: held[name] for name in columns}

    def _read(
        self, rows: IntArray, *, with_x: bool, with_y: bool, seeds: Sequence[int] | None
    ) -> tuple[Features | None, Column | None]:
        """Read the wanted halves of the pairs."""
        places = rows if self._places is None else self._places[rows]
        if self.tensors is not None:
            index = torch.from_numpy(places)
            X, y = ([t[index.to(t.device)] for t in self.tensors] + [None])[:2]
            return X, y
        if seeds is None:
            seeds = Randomness((0, 0)).seeds(0, rows)
        collector = _Collector(rows.tolist(), with_x, with_y)
        with torch.no_grad(), one_thread(), restored_generators(True, torch.device("cpu")):
            if self._collate is None and not hasattr(self._dataset, "__getitems__"):
                self._read_singly(places.tolist(), seeds, collector)
                return collector.result()
            items = self._fetch(places.tolist(), seeds)
            if self._collate is None:
                for item in items:
                    collector.add(item)
                return collector.result()
            return self._collated(items)

    def _read_singly(self, places: list[int], seeds: Sequence[int], out: "_Collector") -> None:
        """Get item by item, each from its own seed."""
        for place, seed in zip(places, seeds, strict=True):
            out.add(self._item(place, seed))

    def _item(self, place: int, seed: int) -> Any:
        """Get one item; errors say which."""
        seed_generators(seed)
        try:
            return self._dataset[place]
        except Exception as error:
            error.add_note(f"raised by {type(self._dataset).__name__}[{place}]")
            raise

    def _fetch(self, places: list[int], seeds: Sequence[int]) -> list[Any]:
        """Get a list of items."""
        if not hasattr(self._dataset, "__getitems__"):
            return [self._item(p, s) for p, s in zip(places, seeds, strict=True)]
        kind = type(self._dataset).__name__
        seed_generators(seeds[0])
        try:
            items = list(self._dataset.__getitems__(places))
        except Exception as error:
            error.add_note(f"raised by {kind}.__getitems__ of {len(places)} rows from {places[0]}")
            raise
        if len(items) != len(places):
            raise ValueError(
                f"{kind}.__getitems__ returned {len(items)} items for {len(places)} rows."
            )
        return items

    def _collated(self, items: list[Any]) -> tuple[Features, Column | None]:
        """Let the user's function stack the items."""
        assert self._collate is not None
        X, y = _split(self._collate(items))
        X = as_features(X)
        check_rows(X, len(items), "collate_fn")
        if y is None:
            return X, None
        if len(y) != len(items):
            raise ValueError(f"collate_fn returned {len(y)} labels for {len(items)} rows.")
        return X, y if isinstance(y, Tensor) else _stack_labels(list(y), None)

    def labels(self, column: str) -> Labels | None:
        """Return ``.targets`` or ``.labels`` of the dataset, if they are what its items say."""
        if column != "y" or self._first_y is None:
            return None
        if self.tensors is not None:
            found: Any = self.tensors[1]
        elif self._collate is not None or getattr(self._dataset, "target_transform", None):
            return None
        else:
            found = _attribute(self._dataset)
        values = _as_labels(found)
        if values is None:
            return None
        values = values if self._places is None else values[self._places]
        return values if self._agree(values) else None

    def _agree(self, values: Labels) -> bool:
        """Compare labels with those of a few items, evenly spaced."""
        if self._first_y is None or not _same(values[0], self._first_y[0]):
            return False
        if self.tensors is not None:
            return True
        rows = np.unique(np.linspace(0, self.n_rows - 1, _COMPARED).astype(np.int64))
        items = np.asarray(self.read(rows, ["y"])["y"])
        return all(_same(values[row], item) for row, item in zip(rows, items, strict=True))

    def row_name(self, row: int) -> str:
        """Name the item."""
        place = row if self._places is None else int(self._places[row])
        return f"{type(self._dataset).__name__}[{place}]"


class _Collector:
    """Stacks the halves of items that are wanted, as they come."""

    def __init__(self, rows: list[int], with_x: bool, with_y: bool) -> None:
        self._rows = rows
        self._with_x, self._with_y = with_x, with_y
        self._filler: Filler | None = None
        self._ys: list[Any] = []
        self._n = 0

    def add(self, item: Any) -> None:
        """Take the next item."""
        x, y = _split(item)
        if self._with_x:
            x = _as_x(x)
            self._filler = self._filler or Filler(x, self._rows, "row")
            self._filler.put(self._n, x)
        if self._with_y and y is not None:
            self._ys.append(y)
        self._n += 1

    def result(self) -> tuple[Features | None, Column | None]:
        """Return what was wanted."""
        X = self._filler.result if self._filler is not None else None
        if not self._ys:
            return X, None
        if len(self._ys) != self._n:
            raise ValueError(f"{self._n - len(self._ys)} of {self._n} items have no y.")
        return X, _stack_labels(self._ys, self._rows)


def _length(dataset: Dataset[Any]) -> int:
    """Count the items, of a dataset that can be counted."""
    kind = type(dataset).__name__
    if isinstance(dataset, IterableDataset):
        raise TypeError(
            f"{kind} is an IterableDataset: its rows have no numbers to be asked by, so they can "
            "be neither shuffled nor split. Write it once to Parquet or .npy and use scan_parquet "
            "or scan_npy, or give a map-style Dataset with __getitem__ and __len__."
        )
    try:
        return len(dataset)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError) as error:
        raise TypeError(f"{kind} has no length: define __len__ ({error}).") from error


def _unwrap(dataset: Dataset[Any]) -> tuple[Any, IntArray | None]:
    """See through torch's Subset, so that what lies beneath can be read in its best way."""
    places: IntArray | None = None
    while type(dataset) is Subset:
        indices = np.asarray(dataset.indices, dtype=np.int64)
        places = indices if places is None else indices[places]
        dataset = dataset.dataset
    return dataset, places


def _split(item: Any) -> tuple[Any, Any]:
    """Split an item into x and y (None where there is none)."""
    if not isinstance(item, tuple | list):
        return item, None
    if len(item) == 2:
        return item[0], item[1]
    if len(item) == 1:
        return item[0], None
    raise TypeError(
        f"a Dataset must give (x, y) or x, got {len(item)} values. Put several inputs into a dict "
        "as x, or several targets into one tensor as y."
    )


def _as_x(x: Any) -> Features:
    """Convert x to tensors."""
    if type(x) is Tensor:
        return x
    try:
        return as_features(x)
    except TypeError:
        raise TypeError(
            f"x must be a tensor, an array, a number or a dict of tensors, got {type(x).__name__}. "
            "Convert it in the Dataset's __getitem__ (for pictures: transform=ToTensor() or "
            "PILToTensor())."
        ) from None


def _stack_labels(ys: list[Any], rows: list[int] | None) -> Column:
    """Stack labels: text to an ndarray, everything else to a tensor."""
    if isinstance(ys[0], Tensor | np.ndarray) and np.ndim(ys[0]):
        first = _as_x(ys[0])
        filler = Filler(first, rows or list(range(len(ys))), "the y of row")
        for i, y in enumerate(ys):
            filler.put(i, _as_x(y))
        return filler.result
    values = np.asarray([y.item() if isinstance(y, Tensor) else y for y in ys])
    if isinstance(ys[0], Tensor):
        return torch.as_tensor(values, dtype=ys[0].dtype)
    if values.dtype.kind not in _KINDS or values.ndim != 1:
        raise TypeError(
            f"y must be a number, a text or a tensor, got {type(ys[0]).__name__} ({values.dtype})."
        )
    return values if values.dtype.kind == "U" else torch.from_numpy(values)


def _field(values: Any) -> Field:
    """Describe one row of stacked values."""
    if isinstance(values, dict):
        return Field("dict", "other")
    if isinstance(values, np.ndarray):
        return Field("string", "text")
    return Field(str(values.dtype).removeprefix("torch."), "number", tuple(values.shape[1:]))


def _attribute(dataset: Any) -> Any:
    """Find labels that a dataset keeps, of its own length."""
    for name in ("targets", "labels"):
        found = getattr(dataset, name, None)
        if isinstance(found, Tensor | np.ndarray | list | tuple) and len(found) == len(dataset):
            return found
    return None


def _as_labels(found: Any) -> Labels | None:
    """Convert kept labels to an array; None where they are not one value or row per item."""
    if isinstance(found, Tensor):
        return np.asarray(found.numpy(force=True))
    try:
        values = np.asarray(found)
    except ValueError:  # lists of different lengths
        return None
    return values if values.ndim and values.dtype.kind in _KINDS else None


def _same(a: Any, b: Any) -> bool:
    """Compare a kept label with that of an item: a transform may lie between them."""
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and bool(np.all(a == b))
