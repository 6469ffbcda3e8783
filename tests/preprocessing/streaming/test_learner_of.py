import numpy as np
import pytest
from scipy import sparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
    TargetEncoder,
)

from sklearnish.preprocessing._streaming.any_transformer import OfBatches, OfSample
from sklearnish.preprocessing._streaming.chunk import Chunk
from sklearnish.preprocessing._streaming.composed import OfSteps
from sklearnish.preprocessing._streaming.encoders import OfCounts
from sklearnish.preprocessing._streaming.imputers import OfGaps
from sklearnish.preprocessing._streaming.learner import Known
from sklearnish.preprocessing._streaming.learner_of import learner_of
from sklearnish.preprocessing._streaming.targets import OfTargets


class OwnEncoder(OneHotEncoder):
    """May learn anything."""


N = np.arange(6)
HEAD = Chunk(N[:, None] * np.ones(2), N % 2, None, N, N > 9, N % 2)
SPARSE = HEAD.with_X(sparse.csr_matrix(HEAD.X))


@pytest.mark.parametrize(
    ("transformer", "kind"),
    [
        ("passthrough", Known),
        (None, Known),
        (Normalizer(), Known),
        (PolynomialFeatures(), Known),
        (StandardScaler(), OfBatches),
        (MiniBatchKMeans(), OfBatches),
        (OneHotEncoder(), OfCounts),
        (OwnEncoder(), OfSample),
        (TargetEncoder(), OfTargets),
        (SimpleImputer(), OfGaps),
        (SimpleImputer(strategy="median"), OfSample),
        (SimpleImputer(strategy=np.max), OfSample),
        (SelectFromModel(SGDClassifier()), OfSample),
        (FrozenEstimator(StandardScaler().fit(HEAD.X)), Known),
        (make_pipeline(StandardScaler(), Normalizer()), OfSteps),
    ],
)
def test_each_transformer_has_its_learner(transformer, kind):
    assert type(learner_of(transformer, HEAD)) is kind


def test_an_imputer_of_sparse_rows_needs_them_as_a_matrix():
    assert type(learner_of(SimpleImputer(), SPARSE)) is OfSample
