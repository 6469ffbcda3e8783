"""Pipeline, FeatureUnion and ColumnTransformer: learners made of learners."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import FunctionTransformer

from sklearnish.preprocessing._streaming.chunk import Chunk, pick
from sklearnish.preprocessing._streaming.learner import Fitted, Learner, combined, is_word

LearnerOf = Callable[[Any, Chunk], Learner]


class OfSteps(Learner):
    """One step after the other: each is given rows that went through those before it."""

    def __init__(self, pipeline: Any, head: Chunk, learner_of: LearnerOf) -> None:
        self._pipeline, self._head, self._learner_of = pipeline, head, learner_of
        self._done: list[Fitted] = []
        self._learner = learner_of(pipeline.steps[0][1], head)
        self._go_on()

    def add(self, chunk: Chunk) -> None:
        """Learn the step that is not done."""
        self._learner.add(self._through(self._done, chunk))

    def end_pass(self) -> None:
        """Go on to the next step."""
        self._learner.end_pass()
        self._go_on()

    def _go_on(self) -> None:
        """Find the next step that has to see rows."""
        while self._learner.fitted is not None:
            self._done.append(self._learner.fitted)
            if len(self._done) == len(self._pipeline.steps):
                self.fitted = combined(self._done, self._assembled)
                return
            self._head = self._through(self._done[-1:], self._head)
            self._learner = self._learner_of(self._pipeline.steps[len(self._done)][1], self._head)

    @staticmethod
    def _through(steps: list[Fitted], chunk: Chunk) -> Chunk:
        """Transform rows as they are in training."""
        for step in steps:
            chunk = chunk.with_X(step.training_rows(chunk.X, chunk.rows))
        return chunk

    def _assembled(self, parts: list[Any]) -> Any:
        """Make a pipeline of fitted steps."""
        pipeline = clone(self._pipeline)
        names = [name for name, _ in pipeline.steps]
        pipeline.steps = list(zip(names, parts, strict=True))
        return pipeline


class _OfBranches(Learner):
    """Several beside each other, in the same passes."""

    def __init__(self, branches: list[Learner]) -> None:
        self._branches = branches
        self._conclude()

    def _of_branch(self, i: int, chunk: Chunk) -> Chunk:
        """Give a branch what it takes of the rows."""
        return chunk

    @abstractmethod
    def _assembled(self, parts: list[Any]) -> Any:
        """Put fitted branches together."""

    def add(self, chunk: Chunk) -> None:
        """Learn what is not done."""
        for i, branch in enumerate(self._branches):
            if branch.fitted is None:
                branch.add(self._of_branch(i, chunk))

    def end_pass(self) -> None:
        """Ask all of them."""
        for branch in self._branches:
            if branch.fitted is None:
                branch.end_pass()
        self._conclude()

    def _conclude(self) -> None:
        """Put them together when all are done."""
        done = [branch.fitted for branch in self._branches if branch.fitted is not None]
        if len(done) == len(self._branches):
            self.fitted = combined(done, self._assembled)


class OfUnion(_OfBranches):
    """All take all columns."""

    def __init__(self, union: Any, head: Chunk, learner_of: LearnerOf) -> None:
        self._union, self._head = union, head
        super().__init__([learner_of(part, head) for _, part in union.transformer_list])

    def _assembled(self, parts: list[Any]) -> Any:
        """Fit a union of fitted transformers, which learn no more, to the first rows."""
        union = clone(self._union)
        names = [name for name, _ in union.transformer_list]
        frozen = [part if is_word(part) else FrozenEstimator(part) for part in parts]
        union.transformer_list = list(zip(names, frozen, strict=True))
        union.fit_transform(self._head.X)
        union.transformer_list = [
            (name, getattr(part, "estimator", part)) for name, part in union.transformer_list
        ]
        return union


class OfColumns(_OfBranches):
    """Each takes columns of its own."""

    def __init__(self, columns: Any, head: Chunk, learner_of: LearnerOf) -> None:
        self._transformer, self._head = columns, head
        self._places = _columns_of(columns, head.X)
        given = {name: part for name, part, _ in columns.transformers}
        given["remainder"] = columns.remainder
        self._names = [name for name in self._places if not is_word(given[name])]
        super().__init__(
            [learner_of(given[name], head.columns(self._places[name])) for name in self._names]
        )

    def _of_branch(self, i: int, chunk: Chunk) -> Chunk:
        """Pick the columns."""
        return chunk.columns(self._places[self._names[i]])

    def _assembled(self, parts: list[Any]) -> Any:
        """Fit a ColumnTransformer of fitted transformers, which learn no more, to the first rows.

        From these rows it takes what is the same for all: the columns, and how results are joined.
        """
        whole = clone(self._transformer)
        given = whole.transformers, whole.remainder
        frozen = dict(zip(self._names, map(FrozenEstimator, parts), strict=True))
        whole.transformers = [
            (name, frozen.get(name, part), key) for name, part, key in whole.transformers
        ]
        whole.remainder = frozen.get("remainder", whole.remainder)
        whole.fit(self._head.X)
        whole.transformers_ = [
            (name, part.estimator if name in frozen else part, key)
            for name, part, key in whole.transformers_
        ]
        whole.transformers, whole.remainder = given
        return whole


def _columns_of(transformer: Any, X: Any) -> dict[str, Any]:
    """Say which columns each part takes, of those that take any."""
    seen = ColumnTransformer(
        [(name, FunctionTransformer(_zeros), key) for name, _, key in transformer.transformers],
        remainder=FunctionTransformer(_zeros),
    ).fit(X)
    keys = {name: key for name, _, key in seen.transformers_}
    return {name: key for name, key in keys.items() if 0 not in pick(X, key, axis=1).shape[1:]}


def _zeros(X: Any) -> Any:
    """Make a column of any rows."""
    return np.zeros((X.shape[0], 1))
