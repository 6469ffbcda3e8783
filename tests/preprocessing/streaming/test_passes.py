import numpy as np
import pytest
from sklearn.preprocessing import Normalizer, RobustScaler, StandardScaler

import sklearnish as sn
from sklearnish.data import hashed_sample
from sklearnish.preprocessing._streaming.passes import Rows, learned
from tests.preprocessing.rows import FRAME, N


def rows(ds, transformer=None, n=100):
    return Rows(
        transformer, ds, ds.target, ds.target * 2.0, n, {} if hasattr(ds, "columns") else None
    )


def test_chunks_hold_each_row_once_with_what_is_known_of_it(scanned):
    ds = scanned(["a", "city"])
    chunks = list(rows(ds).chunks())
    assert len(chunks) > 3
    numbers = np.concatenate([chunk.rows for chunk in chunks])
    np.testing.assert_array_equal(numbers, np.arange(N))
    sampled = [chunk.rows[chunk.sampled] for chunk in chunks]
    np.testing.assert_array_equal(np.concatenate(sampled), ds.rows[hashed_sample(ds, 100)])
    for chunk in chunks:
        expected = FRAME.iloc[chunk.rows]
        np.testing.assert_array_equal(chunk.X["city"], expected["city"])
        np.testing.assert_array_equal(chunk.y, expected["label"])
        np.testing.assert_array_equal(chunk.weight, expected["label"] * 2.0)
        assert len(chunk.all_y) == N


def test_rows_without_names_are_arrays():
    ds = sn.as_dataset(FRAME[["a", "b"]].to_numpy(), FRAME["label"])
    (chunk,) = rows(ds).chunks() if N <= 200 else [next(rows(ds).chunks())]
    np.testing.assert_array_equal(chunk.X, FRAME[["a", "b"]].to_numpy()[: len(chunk.rows)])


def test_types_that_stay_mixed_are_no_reason_to_begin_again(scanned):
    def kinds(df):
        return df.astype(np.float32 if len(df) == 150 else np.float64)

    ds = scanned(["a", "b"]).map_frames(kinds)
    fitted, types = learned(rows(ds, StandardScaler()))
    weighted = np.average(FRAME[["a", "b"]], axis=0, weights=FRAME["label"])
    np.testing.assert_allclose(fitted.transformer.mean_, weighted, rtol=1e-5)
    assert types == {"a": np.float64, "b": np.float64}


@pytest.mark.parametrize(
    ("transformer", "n"), [(StandardScaler(), 0), (RobustScaler(), 100), (Normalizer(), 0)]
)
def test_passes_go_on_until_all_is_learned(scanned, transformer, n):
    fitted, types = learned(rows(scanned(["a", "b"]), transformer))
    assert fitted.transformer.n_features_in_ == 2
    assert fitted.n_sampled == n
    assert set(types) <= {"a", "b"}
