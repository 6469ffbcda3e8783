"""What a file may ask for, counted over all that it holds."""

import time

import numpy as np
import pytest

import sklearnish as sn
from sklearnish.persistence._limits import Budget
from tests.persistence.common import edited, rewritten

EQUAL = 2**61 - 1


def test_keys_of_one_hash_count_over_the_file():
    budget = Budget()
    for _ in range(16):
        budget.add_keys([i * EQUAL for i in range(1, 1024)])
    with pytest.raises(ValueError, match=r"could take for ever to build\. The limit is"):
        budget.add_keys([i * EQUAL for i in range(1, 1024)])


def test_honest_keys_are_far_from_the_limit():
    budget = Budget()
    budget.add_keys(list(map(str, range(10**6))))
    budget.add_keys(list(range(10_000)))
    budget.add_keys([1.5, None, True, np.int64(3), np.float32(2)] * 100)
    for _ in range(10_000):  # the states of optimizers of as many nets
        budget.add_keys(list(range(50)))


@pytest.mark.parametrize("key", [2**60, -(2**60), (1, 2), b"a"])
def test_keys_that_may_meet_are_fewer(key):
    with pytest.raises(ValueError, match="4,096 others"):
        Budget().add_keys([key] * 4097)


def test_tuples_are_compared_item_by_item():
    keys = [(*[0] * 1000, i) for i in range(1000)]
    Budget().add_keys(keys[:100])
    with pytest.raises(ValueError, match="of tuples fewer"):
        Budget().add_keys(keys)
    with pytest.raises(ValueError, match="of tuples fewer"):
        Budget().add_keys([(key, key) for key in keys[:100]] * 10)


@pytest.mark.parametrize("kind", ["$dict", "lists"])
def test_a_small_file_does_not_keep_load_busy(kind, tmp_path):
    sn.save(sn.TorchClassifier(), tmp_path / "a.sn")
    one = {"$dict": [[EQUAL * i, 0] for i in range(1, 16_385)]}
    value = [one] * 8 if kind == "$dict" else [[]] * 2**21
    change = edited(lambda model: model["estimators"][0]["params"].update(module_params=value))
    rewritten(tmp_path / "a.sn", {"model.json": change})
    begun = time.process_time()
    with pytest.raises(ValueError, match="limit is"):
        sn.load(tmp_path / "a.sn")
    assert time.process_time() - begun < 2
