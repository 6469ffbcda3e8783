"""A fold reads the blocks it needs, and no more: counted against the ideal."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from torch import nn

import sklearnish as sn
from sklearnish.preprocessing import _statistics

BLOCK, BLOCKS = 10, 12
"""Rows in a row group, and row groups in both files."""

TRIAL = 1
"""Blocks that a fit reads for the user's module, to try it on a real row."""


class Linear(nn.Linear):
    """A module without statistics of its inputs: all reading is for training."""


@pytest.fixture
def counted(table, make):
    """A Dataset of fresh counters, its labels already known."""
    ds = make("parquet")
    assert ds.target.sum() == table.label.sum()
    source = ds.source
    source.rows_read = source.blocks_read = source.bytes_read = 0
    return ds


@pytest.fixture
def linear(clf):
    return clone(clf).set_params(module=Linear, module_params=None, max_epochs=3)


@pytest.fixture(params=["sequential", "shuffle"])
def sampler(request):
    return request.param


def read(ds):
    return ds.source.rows_read, ds.source.blocks_read, ds.source.bytes_read


def test_fit_reads_the_blocks_of_its_fold_once_an_epoch(counted, linear, sampler):
    train, _ = next(KFold(4).split(counted))  # three blocks of twelve are left out
    linear.set_params(sampler=sampler).fit(counted[train], counted.target[train])
    rows, blocks, nbytes = read(counted)
    assert rows == 3 * 90 + TRIAL * BLOCK
    assert blocks == rows // BLOCK
    assert 16 * rows <= nbytes <= 20 * rows


def test_predict_reads_each_block_once(counted, linear):
    linear.fit(counted[:30])
    before = read(counted)
    _, test = list(KFold(4).split(counted))[2]
    linear.predict(counted[test])
    rows, blocks, nbytes = np.subtract(read(counted), before)
    assert (rows, blocks) == (30, 3)
    assert 16 * rows <= nbytes <= 20 * rows


def test_cross_validation_reads_the_ideal(counted, linear, sampler):
    linear.set_params(sampler=sampler)
    cross_val_score(linear, counted, counted.target, cv=KFold(4))
    ideal = 4 * (TRIAL * BLOCK + 3 * 90 + 30)
    assert read(counted)[0] == ideal


def test_search_reads_the_ideal(counted, linear):
    grid = {"batch_size": [10, 30]}
    GridSearchCV(linear, grid, cv=KFold(2), refit=False).fit(counted, counted.target)
    ideal = 2 * 2 * (TRIAL * BLOCK + 3 * 60 + 60)
    assert read(counted)[0] == ideal


def test_scattered_rows_read_their_blocks_alone(counted, linear):
    rows = np.array([3, 4, 41, 47, 88])  # blocks 0, 4 and 8
    linear.set_params(max_epochs=1).fit(counted[rows], [0, 1, 0, 1, 1])
    assert read(counted)[1] == TRIAL + 3


def test_held_out_rows_are_read_once(counted, linear):
    linear.set_params(early_stopping=True, validation_fraction=0.5, patience=10, tol=0.0)
    linear.fit(counted)
    # Every block has held-out rows and training rows: once for the former, three epochs.
    assert read(counted)[1] == TRIAL + (3 + 1) * BLOCKS


def test_the_default_module_samples_its_inputs(counted, clf, monkeypatch):
    monkeypatch.setattr(_statistics, "_ROWS", 24)
    clf.set_params(max_epochs=1).fit(counted)
    sample = read(counted)[1] - BLOCKS
    assert 1 <= sample <= 8


def test_labels_given_are_not_read(table, make, linear):
    ds = make("parquet")
    linear.set_params(max_epochs=1).fit(ds, table.label)
    rows, _, nbytes = read(ds)
    assert rows <= 120 + TRIAL * BLOCK
    assert nbytes <= 20 * rows  # four columns of float32, the label not among them


def test_other_columns_are_not_read(table, tmp_path, linear):
    frame = table.frame("label").assign(**{f"x{i}": 0.0 for i in range(50)})
    frame.to_parquet(tmp_path / "wide.parquet", row_group_size=BLOCK)
    ds = sn.scan_parquet(tmp_path / "wide.parquet", target="label", columns=["a", "b", "c", "d"])
    linear.set_params(max_epochs=1).fit(ds)
    rows, _, nbytes = read(ds)
    assert nbytes < 30 * rows


def test_rows_in_any_order_are_predicted_with_each_block_read_once(counted, linear):
    linear.set_params(shuffle_memory=BLOCK * 16 * 8).fit(counted)  # a window is one block
    before = read(counted)
    order = np.random.default_rng(0).permutation(len(counted))
    scrambled = linear.predict_proba(counted[order])
    assert np.subtract(read(counted), before)[1] == BLOCKS
    np.testing.assert_array_equal(scrambled, linear.predict_proba(counted)[order])
