import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler
from sklearn.utils import gen_batches

from sklearnish.preprocessing._streaming.any_transformer import OfBatches, OfSample
from sklearnish.preprocessing._streaming.chunk import Chunk


class Noted(BaseEstimator):
    """Notes the batches that it is given."""

    def __init__(self, batch_size=None, n_components=None):
        self.batch_size = batch_size
        self.n_components = n_components

    def partial_fit(self, X, y=None):
        self.batches_ = [*getattr(self, "batches_", []), X[:, 0].tolist()]


def chunks(n, size, sampled=None, weight=None):
    for start in range(0, n, size):
        rows = np.arange(start, min(n, start + size))
        mask = np.ones(len(rows), bool) if sampled is None else np.isin(rows, sampled)
        of_rows = None if weight is None else weight[rows]
        yield Chunk(rows[:, None] * np.ones(4), rows, of_rows, rows, mask, np.arange(n))


def learned(learner, given):
    for chunk in given:
        learner.add(chunk)
    learner.end_pass()
    return learner.fitted


@pytest.mark.parametrize("size", [7, 64, 1000])
@pytest.mark.parametrize(
    ("batch", "least"), [(None, None), (None, 8), (30, None), (30, 15), (64, 64)]
)
@pytest.mark.parametrize("n", [1, 60, 64, 100, 128])
def test_batches_are_those_of_fit(n, batch, least, size):
    given = list(chunks(n, size))
    learner = OfBatches(Noted(batch, least), given[0])
    whole = [part for batch in learned(learner, given).transformer.batches_ for part in batch]
    assert whole == list(range(n))
    lengths = [len(batch) for batch in learner.fitted.transformer.batches_]
    cuts = gen_batches(n, batch or 20, min_batch_size=least or 0)
    assert lengths == [cut.stop - cut.start for cut in cuts]


def test_without_a_size_chunks_are_batches():
    weight = np.random.default_rng(0).random(100)
    fitted = learned(
        OfBatches(StandardScaler(), next(chunks(100, 30))), chunks(100, 30, weight=weight)
    )
    expected = StandardScaler().fit(np.arange(100)[:, None] * np.ones(4), sample_weight=weight)
    np.testing.assert_allclose(fitted.transformer.mean_, expected.mean_)
    np.testing.assert_allclose(fitted.transformer.var_, expected.var_)
    assert fitted.n_sampled == 0


def test_the_sample_is_what_others_are_fitted_to():
    sample, weight = np.arange(3, 100, 7), np.random.default_rng(0).random(100)
    X = np.arange(100)[:, None] * np.ones(4)
    fitted = learned(OfSample(PCA(1)), chunks(100, 30, sample, weight))
    assert fitted.n_sampled == 14
    np.testing.assert_array_equal(fitted.transformer.mean_, X[sample].mean(axis=0))
    bins = KBinsDiscretizer(3, encode="ordinal", quantile_method="averaged_inverted_cdf")
    fitted = learned(OfSample(bins), chunks(100, 30, sample, weight))
    expected = bins.fit(X[sample], sample_weight=weight[sample])
    np.testing.assert_array_equal(fitted.transformer.bin_edges_[0], expected.bin_edges_[0])
