"""Which learner suits a transformer."""

from collections.abc import Callable
from typing import Any

from scipy import sparse
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    TargetEncoder,
)
from sklearn.utils import get_tags

from sklearnish.preprocessing._streaming.any_transformer import OfBatches, OfSample
from sklearnish.preprocessing._streaming.chunk import Chunk
from sklearnish.preprocessing._streaming.composed import OfColumns, OfSteps, OfUnion
from sklearnish.preprocessing._streaming.encoders import OfCounts
from sklearnish.preprocessing._streaming.imputers import OfGaps
from sklearnish.preprocessing._streaming.learner import Known, Learner, is_word
from sklearnish.preprocessing._streaming.targets import OfTargets

_COMPOSED: dict[type, Callable[..., Learner]] = {
    ColumnTransformer: OfColumns,
    FeatureUnion: OfUnion,
    Pipeline: OfSteps,
}
# Subclasses may learn other things.
_EXACT: dict[type, Callable[..., Learner]] = {
    MissingIndicator: OfGaps,
    OneHotEncoder: OfCounts,
    OrdinalEncoder: OfCounts,
    SimpleImputer: OfGaps,
    TargetEncoder: OfTargets,
}


def learner_of(transformer: Any, head: Chunk) -> Learner:
    """Choose how to learn what a transformer has to know; `head` are the first rows."""
    if is_word(transformer) or isinstance(transformer, FrozenEstimator):
        return Known(transformer)
    kind = type(transformer)
    if kind in _COMPOSED:
        return _COMPOSED[kind](transformer, head, learner_of)
    if kind is PolynomialFeatures or not get_tags(transformer).requires_fit:
        return Known(clone(transformer).fit(head.X, head.y))
    if kind in _EXACT and not _needs_matrix(transformer, head):
        return _EXACT[kind](transformer, head)
    if hasattr(transformer, "partial_fit") and not isinstance(transformer, MetaEstimatorMixin):
        return OfBatches(transformer, head)
    return OfSample(transformer)


def _needs_matrix(transformer: Any, head: Chunk) -> bool:
    """Say whether an imputer needs all rows at a time."""
    strategy = getattr(transformer, "strategy", "constant")
    return strategy not in ("mean", "most_frequent", "constant") or sparse.issparse(head.X)
