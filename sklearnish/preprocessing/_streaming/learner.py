"""A learner sees the rows once, or more often, and then has a fitted transformer."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearnish.data import IntArray, row_hashes
from sklearnish.preprocessing._streaming.chunk import Chunk, pick, stack

_FOLDS_SEED = 1
"""The sample has 0: rows in it are in no fold more often than others."""


@dataclass(frozen=True)
class Fitted:
    """A fitted transformer.

    Where labels were learned from (TargetEncoder), there is one more for each fold of the rows,
    that has not seen the labels of the fold: it transforms these rows for training.
    """

    transformer: Any
    by_fold: tuple[Any, ...] = ()
    n_sampled: int = 0
    """Size of the sample that something in it was learned from; 0 where all rows were."""

    def training_rows(self, X: Any, rows: IntArray) -> Any:
        """Transform rows that were learned from, whose numbers are given."""
        if not self.by_fold:
            return X if is_word(self.transformer) else self.transformer.transform(X)
        return by_fold([one.transform for one in self.by_fold], X, rows)


class Learner(ABC):
    """Learns what one transformer has to know."""

    fitted: Fitted | None = None
    """What was learned; None while rows are needed."""

    @abstractmethod
    def add(self, chunk: Chunk) -> None:
        """Look at some rows, each once in a pass."""

    @abstractmethod
    def end_pass(self) -> None:
        """Draw the conclusions; `fitted` stays None if another pass is needed."""


class Known(Learner):
    """Needs no rows."""

    def __init__(self, transformer: Any) -> None:
        self.fitted = Fitted(transformer)

    def add(self, chunk: Chunk) -> None:
        """Do nothing."""

    def end_pass(self) -> None:
        """Do nothing."""


def is_word(transformer: Any) -> bool:
    """Tell "passthrough", "drop" and None from transformers."""
    return transformer is None or isinstance(transformer, str)


def folds_of(rows: IntArray, n_folds: int) -> IntArray:
    """Deal rows into folds by their numbers: a row is in one fold, however often it is repeated."""
    return (row_hashes(rows, _FOLDS_SEED) % np.uint64(n_folds)).astype(np.int64)


def by_fold(functions: Sequence[Callable[[Any], Any]], X: Any, rows: IntArray) -> Any:
    """Apply to each row the function of its fold."""
    folds = folds_of(rows, len(functions))
    places = [np.flatnonzero(folds == k) for k in range(len(functions))]
    parts = [
        function(pick(X, place))
        for function, place in zip(functions, places, strict=True)
        if len(place)
    ]
    return pick(stack(parts), np.argsort(np.concatenate(places)))


def combined(parts: Sequence[Fitted], assemble: Callable[[list[Any]], Any]) -> Fitted:
    """Assemble fitted transformers, and those of each fold as well."""
    n_folds = sorted({len(part.by_fold) for part in parts} - {0})
    if len(n_folds) > 1:
        raise ValueError(
            f"The TargetEncoders have {' and '.join(map(str, n_folds))} folds. Rows have one fold "
            "for all of them: give them the same cv."
        )
    folds = [
        assemble([part.by_fold[k] if part.by_fold else part.transformer for part in parts])
        for k in range(n_folds[0] if n_folds else 0)
    ]
    n_sampled = max((part.n_sampled for part in parts), default=0)
    return Fitted(assemble([part.transformer for part in parts]), tuple(folds), n_sampled)
