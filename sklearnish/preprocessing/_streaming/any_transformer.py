"""What holds of any transformer: it learns from batches, or from a sample of the rows."""

from typing import Any

from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from sklearnish.preprocessing._streaming.chunk import Chunk, stack
from sklearnish.preprocessing._streaming.learner import Fitted, Learner

_PER_FEATURE = 5
"""Rows in a batch for each feature where ``batch_size=None``, as IncrementalPCA has it."""


class OfBatches(Learner):
    """Calls ``partial_fit``; one with a batch size is given the batches that ``fit`` would make."""

    def __init__(self, transformer: Any, head: Chunk) -> None:
        self._transformer = clone(transformer)
        size = getattr(transformer, "batch_size", 0)
        self._size = _PER_FEATURE * head.X.shape[1] if size is None else size
        n_components = getattr(transformer, "n_components", None)
        self._least = n_components if isinstance(n_components, int) else 0
        self._rest: list[Chunk] = []

    def add(self, chunk: Chunk) -> None:
        """Cut batches; at least so many rows are left for the last."""
        if not self._size:
            self._learn(chunk)
            return
        rows = _joined([*self._rest, chunk])
        n, start = len(rows.rows), 0
        while start + self._size + self._least <= n:
            self._learn(rows.take(slice(start, start + self._size)))
            start += self._size
        self._rest = [rows.take(slice(start, n))] if start < n else []

    def end_pass(self) -> None:
        """Learn from the last batch."""
        for chunk in self._rest:
            self._learn(chunk)
        self.fitted = Fitted(self._transformer)

    def _learn(self, chunk: Chunk) -> None:
        """Learn from one batch."""
        self._transformer.partial_fit(chunk.X, chunk.y, **_weights(self._transformer, chunk))


class OfSample(Learner):
    """Calls ``fit`` with the rows of the sample, in the order in which they are stored."""

    def __init__(self, transformer: Any) -> None:
        self._transformer = clone(transformer)
        self._parts: list[Chunk] = []

    def add(self, chunk: Chunk) -> None:
        """Keep what is in the sample."""
        if chunk.sampled.any():
            self._parts.append(chunk.take(chunk.sampled))

    def end_pass(self) -> None:
        """Fit."""
        rows = _joined(self._parts)
        self._transformer.fit(rows.X, rows.y, **_weights(self._transformer, rows))
        self.fitted = Fitted(self._transformer, n_sampled=len(rows.rows))


def _weights(transformer: Any, chunk: Chunk) -> dict[str, Any]:
    """Pass weights on to a transformer that takes them."""
    takes = chunk.weight is not None and has_fit_parameter(transformer, "sample_weight")
    return {"sample_weight": chunk.weight} if takes else {}


def _joined(chunks: list[Chunk]) -> Chunk:
    """Make one chunk of several."""
    if len(chunks) == 1:
        return chunks[0]

    def of(name: str) -> Any:
        parts = [getattr(chunk, name) for chunk in chunks]
        return None if parts[0] is None else stack(parts)

    named = {name: of(name) for name in ("X", "y", "weight", "rows", "sampled")}
    return Chunk(**named, all_y=chunks[0].all_y)
