"""Any map-style torch Dataset of ``(x, y)`` pairs.

Its ``__getitem__`` may draw random numbers (a ``transform=`` with random crops): each row finds
the global generators seeded for it, so that the process that reads it makes no difference.
"""

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from sklearnish.data._functions import randomness
from sklearnish.data._functions.generators import Held, find_generators, seed_held
from sklearnish.data._functions.results import as_features, check_rows
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._sources.torch_datasets import items as of_items
from sklearnish.data._sources.torch_datasets.items import Collector, Labels, differing
from sklearnish.data._tensors.batch import Batch, Features, each

Collate = Callable[[list[Any]], Any]

_COMPARED = 32
"""Items whose labels are compared at a time with those that the dataset keeps beside them."""

_COMPARING = 0.5
"""Seconds that this may take; all items of most datasets are compared by then."""

_PROBED = 8
"""Items that are read twice to see whether their labels are drawn at random."""


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
    makes_labels : bool
        Whether the user's code makes the label of a row together with the row.

    Raises
    ------
    TypeError
        If the dataset is iterable-style, has no length, or its items are something else.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from sklearnish.data._sources.torch_datasets.source import TorchDatasetSource
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
        self.uses_global_generators = self.makes_labels = not self.in_memory
        self._compares = False
        if self.n_rows == 0:
            raise ValueError(f"{self.name} has 0 rows; at least one is needed.")
        X, y = self._read(np.zeros(1, np.int64), with_x=True, with_y=True, seeds=None)
        assert X is not None
        self.__dict__.pop("held", None)  # the first item may have made some
        self.schema = {"X": _field(X)}
        if y is not None:
            self.schema["y"] = _field(y)
        self._first_y = y
        self._no_x = each(lambda x: x[:0].clone(), Batch(X)).X

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is found again in each process."""
        return {k: v for k, v in self.__dict__.items() if k not in ("held", "_kept")}

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Leave out what was found out about the labels so far."""
        kind, state = super().identity()
        return kind, {k: v for k, v in state.items() if k not in ("_compares", "draws_labels")}

    @cached_property
    def held(self) -> tuple[Held, ...]:
        """Generators that the dataset holds."""
        return find_generators(self._dataset, self._collate)

    @cached_property
    def _kept(self) -> Labels | None:
        """Labels that the dataset keeps beside its items."""
        return None if self._collate is not None else of_items.kept_labels(self._dataset)

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
            What the global generators, and those that the dataset holds, are seeded with for each
            row (for the first one alone, where ``__getitems__`` fetches them all); derived from
            the row number by default, so that a row is always the same.

        Returns
        -------
        dict of str to Tensor, dict of Tensor or ndarray of str
            The values in the order of `rows`.
        """
        X: Features | None
        if len(rows) == 0:
            X, y = self._no_x, None if self._first_y is None else self._first_y[:0]
        else:
            X, y = self._read(rows, with_x="X" in columns, with_y="y" in columns, seeds=seeds)
        return {name: X if name == "X" else y for name in columns}

    def _read(
        self, rows: IntArray, *, with_x: bool, with_y: bool, seeds: Sequence[int] | None
    ) -> tuple[Features | None, Column | None]:
        """Read the wanted halves of the pairs."""
        places = rows if self._places is None else self._places[rows]
        if self.tensors is not None:
            index = torch.from_numpy(places)
            X, y, *_ = *(t.detach()[index.to(t.device)] for t in self.tensors), None, None
            return X, y
        if seeds is None:
            seeds = randomness.Randomness((0, 0)).seeds(0, rows)
        collector = Collector(rows.tolist(), with_x, with_y or self._compares)
        cpu = torch.device("cpu")
        with (
            torch.no_grad(),
            randomness.one_thread(),
            randomness.restored_generators(True, cpu, self.held),
        ):
            if self._collate is not None:
                return self._collated(self._items(places.tolist(), seeds))
            if hasattr(self._dataset, "__getitems__"):
                for item in self._items(places.tolist(), seeds):
                    collector.add(item)
            else:  # none is kept longer than needed
                for place, seed in zip(places.tolist(), seeds, strict=True):
                    collector.add(self._item(place, seed))
        features, y = collector.result()
        if self._compares:
            self._check_kept(rows, places, y)
        return features, y

    def _check_kept(self, rows: IntArray, places: IntArray, y: Column | None) -> None:
        """Raise if an item has another label than the dataset keeps for it."""
        assert self._kept is not None
        if y is None:
            return
        kept, labels = self._kept[places], np.asarray(y)
        different = differing(kept, labels)
        if len(different):
            first = different[0]
            name = "targets" if hasattr(self._dataset, "targets") else "labels"
            raise ValueError(
                f"{self.row_name(int(rows[first]))} has the label {labels[first]}, but .{name} of "
                f"the dataset has {kept[first]} for it. Those compared at first agreed, so "
                f".{name} was taken to save a pass over all items. Let both agree, or rename the "
                "attribute: the labels of the items are taken then."
            )

    def _seed(self, seed: int) -> None:
        """Seed what the user's code may draw from."""
        randomness.seed_generators(seed)
        seed_held(self.held, seed)

    def _item(self, place: int, seed: int) -> Any:
        """Get one item; errors say which."""
        self._seed(seed)
        try:
            return self._dataset[place]
        except Exception as error:
            error.add_note(f"raised by {type(self._dataset).__name__}[{place}]")
            raise

    def _items(self, places: list[int], seeds: Sequence[int]) -> list[Any]:
        """Get a list of items."""
        if not hasattr(self._dataset, "__getitems__"):
            return [self._item(p, s) for p, s in zip(places, seeds, strict=True)]
        kind = type(self._dataset).__name__
        self._seed(seeds[0])
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
        X, y = of_items.split(self._collate(items))
        X = as_features(X)
        check_rows(X, len(items), "collate_fn")
        X = each(Tensor.detach, Batch(X)).X
        if y is None:
            return X, None
        if len(y) != len(items):
            raise ValueError(f"collate_fn returned {len(y)} labels for {len(items)} rows.")
        return X, y.detach() if isinstance(y, Tensor) else of_items.stack_labels(list(y), None)

    def labels(self, column: str) -> Labels | None:
        """Return ``.targets`` or ``.labels`` of the dataset, if they are what its items say.

        All items are compared if that is quick; if not, those that are read later are, too.
        """
        if column != "y" or self._first_y is None:
            return None
        kept = self._kept if self.tensors is None else self.tensors[1].numpy(force=True)
        if kept is None:
            return None
        values = np.asarray(kept if self._places is None else kept[self._places])
        if self.tensors is not None:
            return values
        self._compares = False
        self._compares = self._agree(values)
        return values if self._compares else None

    def _agree(self, values: Labels) -> bool:
        """Compare labels with those of items, as many as there is time for."""
        until = time.perf_counter() + _COMPARING
        order = np.random.default_rng(0).permutation(self.n_rows)
        for start in range(0, self.n_rows, _COMPARED):
            rows = np.sort(order[start : start + _COMPARED])
            if len(differing(values[rows], np.asarray(self.read(rows, ["y"])["y"]))):
                return False
            if time.perf_counter() > until:
                break
        return True

    @cached_property
    def draws_labels(self) -> bool:
        """Whether the labels of items differ from one reading to the next."""
        if self._first_y is None or not self.makes_labels:
            return False
        rows = np.arange(min(_PROBED, self.n_rows))
        one, two = (
            np.asarray(self.read(rows, ["y"], (rows + many).tolist())["y"]) for many in (0, 2**20)
        )
        return len(differing(one, two)) > 0

    def row_name(self, row: int) -> str:
        """Name the item."""
        place = row if self._places is None else int(self._places[row])
        return f"{type(self._dataset).__name__}[{place}]"


def _length(dataset: Dataset[Any]) -> int:
    """Count the items, of a dataset that can be counted."""
    kind = type(dataset).__name__
    if isinstance(dataset, IterableDataset):
        raise TypeError(
            f"{kind} is an IterableDataset. It has no row indices, so it cannot be shuffled or "
            "split. Write it once to Parquet or .npy and use scan_parquet or scan_npy, or pass a "
            "map-style Dataset with __getitem__ and __len__."
        )
    try:
        return len(dataset)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError) as error:  # no __len__, or one that only raises
        raise TypeError(f"{kind} has no length: define __len__ ({error}).") from error


def _unwrap(dataset: Dataset[Any]) -> tuple[Any, IntArray | None]:
    """See through torch's Subset, so that what lies beneath can be read in its best way."""
    places: IntArray | None = None
    while type(dataset) is Subset:
        indices = np.asarray(dataset.indices, dtype=np.int64)
        places = indices if places is None else indices[places]
        dataset = dataset.dataset
    return dataset, places


def _field(values: Any) -> Field:
    """Describe one row of stacked values."""
    if isinstance(values, dict):
        return Field("dict", "other")
    if isinstance(values, np.ndarray):
        return Field("string", "text")
    return Field(str(values.dtype).removeprefix("torch."), "number", tuple(values.shape[1:]))
