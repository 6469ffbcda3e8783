"""Passes over the rows of a Dataset, until a transformer has learned what it has to know."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data import Dataset, hashed_sample, read_frames
from sklearnish.preprocessing._streaming.chunk import Chunk, Values, as_taken, table_of
from sklearnish.preprocessing._streaming.learner import Fitted
from sklearnish.preprocessing._streaming.learner_of import learner_of

_ROWS, _VALUES = 65_536, 2**22
"""Rows of a chunk, and its values at most: transformers make several copies of them."""

_HEAD = 1_000
"""Rows from which is taken what is the same for all of them, such as names of columns."""


@dataclass(frozen=True)
class Rows:
    """The rows of a Dataset, with labels and weights, as a transformer takes them."""

    transformer: Any
    dataset: Dataset
    y: Values | None
    weight: Values | None
    sample_rows: int
    types: dict[str, Any] | None
    """Types of columns that may hold whole numbers in a chunk; None if columns have no names."""

    @cached_property
    def _sampled(self) -> npt.NDArray[np.bool_]:
        """Which positions are in the sample."""
        sampled = np.zeros(len(self.dataset), dtype=bool)
        sampled[hashed_sample(self.dataset, self.sample_rows)] = True
        return sampled

    def chunks(self) -> Iterator[Chunk]:
        """Read all of them once, in the order in which they are stored."""
        numbers = self.dataset.without_target()
        n_rows = max(1, min(_ROWS, _VALUES // self.dataset.shape[1]))
        for X, places in read_frames(self.dataset, n_rows, frame="pandas"):
            y, weight = (None if a is None else a[places] for a in (self.y, self.weight))
            rows = numbers[places].rows.astype(np.int64)
            X = as_taken(self.transformer, table_of(X, self.types))
            yield Chunk(X, y, weight, rows, self._sampled[places], self.y)


def learned(rows: Rows) -> tuple[Fitted, dict[str, Any]]:
    """Fit a copy of the transformer to all rows; say which types the columns have as a whole.

    One pass is enough, except for a Pipeline: it takes one for each step that learns. It begins
    anew if the type of a column turns out to differ from chunk to chunk.
    """
    chunks = rows.chunks()
    first = next(chunks)
    learner = learner_of(rows.transformer, first.take(slice(_HEAD)))
    chunks = chain([first], chunks)
    del first  # or it would be held to the end
    seen: dict[str, set[Any]] = {}
    while learner.fitted is None:
        for chunk in chunks:
            _note_types(seen, chunk.X)
            learner.add(chunk)
        types = _of_whole(seen)
        if any(len(kinds) > 1 for kinds in seen.values()) and types != rows.types:
            return learned(replace(rows, types=types))
        learner.end_pass()
        chunks = rows.chunks()
    return learner.fitted, _of_whole(seen)


def _of_whole(seen: dict[str, set[Any]]) -> dict[str, Any]:
    """Give the types of columns of which some values are no whole numbers."""
    types = {name: np.result_type(*kinds) for name, kinds in seen.items()}
    return {name: kind for name, kind in types.items() if kind.kind in "fO"}


def _note_types(seen: dict[str, set[Any]], X: Any) -> None:
    """Note the types of the columns that are NumPy's."""
    for name, kind in X.dtypes.items() if hasattr(X, "columns") else ():
        if isinstance(kind, np.dtype):
            seen.setdefault(name, set()).add(kind)
