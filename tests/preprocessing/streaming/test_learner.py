import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from sklearnish.preprocessing._streaming.learner import Fitted, by_fold, combined, folds_of


class Adds:
    """Adds a number."""

    def __init__(self, number):
        self.number = number

    def transform(self, X):
        return X + self.number


ROWS = np.array([5, 900, 3, 5, 77, 12])


def test_folds_depend_on_the_number_of_a_row_alone():
    folds = folds_of(np.arange(10_000), 5)
    assert np.bincount(folds).min() > 1_880
    np.testing.assert_array_equal(folds_of(ROWS, 5), folds[ROWS])


@pytest.mark.parametrize("make", [np.array, pd.DataFrame])
def test_each_row_is_transformed_by_its_fold(make):
    X = make(np.zeros((6, 2)))
    fitted = Fitted(Adds(9), tuple(map(Adds, range(4))))
    found = np.asarray(fitted.training_rows(X, ROWS))
    np.testing.assert_array_equal(found[:, 0], folds_of(ROWS, 4))
    np.testing.assert_array_equal(found, by_fold([Adds(k).transform for k in range(4)], X, ROWS))
    np.testing.assert_array_equal(Fitted(Adds(9)).training_rows(X, ROWS), X + 9)
    assert Fitted("passthrough").training_rows(X, ROWS) is X


def test_parts_are_combined_for_each_fold():
    parts = [Fitted(Adds(1), n_sampled=30), Fitted(Adds(2), (Adds(3), Adds(4)), 20), Fitted(None)]
    whole = combined(parts, lambda given: make_pipeline(*given))
    assert [step and step.number for _, step in whole.transformer.steps] == [1, 2, None]
    assert [one[1].number for one in whole.by_fold] == [3, 4]
    assert [one[0].number for one in whole.by_fold] == [1, 1]
    assert whole.n_sampled == 30


def test_rows_have_one_fold():
    parts = [Fitted(Adds(1), (Adds(1),) * n) for n in (5, 3)]
    with pytest.raises(ValueError, match=r"TargetEncoders have 3 and 5 folds.*the same cv"):
        combined(parts, list)
