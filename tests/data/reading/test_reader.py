import os
import pickle
import time

import numpy as np
import pytest
import torch

from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._functions.functions import RowFunction
from sklearnish.data._order.samplers import Fetch
from sklearnish.data._reading.reader import EvaluationReader, Reader

X = np.arange(20, dtype=np.float32).reshape(10, 2)
Y = np.arange(10) % 2
FETCH = Fetch(epoch=0, start=4, total=10, positions=np.array([7, 0, 3]))


def slow(x):
    time.sleep(0.01)
    return x


def noisy(x, rng):
    return x + float(rng.normal())


def test_rows_come_in_the_order_of_the_fetch_with_what_they_took():
    reader = Reader(as_dataset(X, Y).map(slow), (RowFunction(slow), RowFunction(slow)), 0, True)
    batch, times, pid, memory = reader[FETCH]
    assert batch.X.tolist() == X[FETCH.positions].tolist()
    assert times.bytes_read == 3 * 8
    assert times.transform >= 0.09
    assert 0.06 <= times.augment < times.transform
    assert times.in_map >= 0.03
    assert pid == os.getpid()
    assert memory > 10**6


def test_labels_stay_in_the_process_that_trains():
    reader = Reader(as_dataset(X, Y), (), 0, True)
    sent = pickle.loads(pickle.dumps(reader))
    fetched = sent[FETCH]
    assert fetched.batch.y is None
    assert sent.complete((FETCH, fetched))[1].batch.y is None
    fetch, whole = reader.complete((FETCH, fetched))
    assert fetch is FETCH
    assert whole.batch.y.tolist() == Y[FETCH.positions].tolist()
    assert whole.times == fetched.times


@pytest.mark.parametrize("kind", [Reader, EvaluationReader])
def test_randomness_comes_from_the_address(kind):
    first, again = (kind(as_dataset(X), (RowFunction(noisy),), 5, True) for _ in range(2))
    assert torch.equal(first[FETCH].batch.X, again[FETCH].batch.X)
    later = FETCH._replace(epoch=1)
    assert not torch.equal(first[FETCH].batch.X, first[later].batch.X)


@pytest.mark.parametrize("finite", [False, True])
def test_nan_raises_where_it_is_asked_for(finite):
    bad = X.copy()
    bad[3, 1] = np.nan
    reader = Reader(as_dataset(bad), (), 0, finite)
    if finite:
        with pytest.raises(ValueError, match="NaN: feature 1, row 3 of"):
            reader[FETCH]
    else:
        assert reader[FETCH].batch.X.isnan().sum() == 1


def test_a_fetch_is_named_by_its_first_and_last_row():
    assert Reader(as_dataset(X), (), 0, True).describe(FETCH).startswith("3 rows from row 0 of")
