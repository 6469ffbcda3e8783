"""Predictions by several processes are those of one, in the same order."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

import sklearnish as sn
from sklearnish.estimators._predicting import spread
from tests.estimators.fitting.test_child_process import children

N = 4000


class Slow(torch.nn.Module):
    """Takes its time to predict; notes in which processes it does."""

    def __init__(self, in_features, out_features, folder, dies=False):
        super().__init__()
        self.linear = torch.nn.Linear(in_features, out_features)
        self.folder, self.dies, self.home = str(folder), dies, os.getpid()

    def forward(self, X):
        if not self.training and torch.is_inference_mode_enabled():
            time.sleep(0.02)
            if self.dies and os.getpid() != self.home:
                os.kill(os.getpid(), signal.SIGKILL)
            with (Path(self.folder) / str(os.getpid())).open("a") as file:
                file.write(f"{len(X)}\n")
        return self.linear(X) * 10


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(spread, "_START", 0.2)


def fitted(folder, **params):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 4)), columns=list("abcd"))
    frame["y"] = np.where(frame.a > 0, "yes", "no")
    frame.to_parquet(folder / "rows.parquet", row_group_size=300)
    ds = sn.scan_parquet(folder / "rows.parquet", target="y")
    (folder / "seen").mkdir()
    clf = sn.TorchClassifier(
        Slow,
        module_params={"folder": folder / "seen"} | params,
        max_epochs=1,
        random_state=0,
        predict_batch_size=50,
        n_processes=1,
    )
    clf.fit(ds[:400])
    for file in (folder / "seen").iterdir():
        file.unlink()
    return clf, ds


def rows_by_process(folder):
    counts = {f.name: sum(map(int, f.read_text().split())) for f in (folder / "seen").iterdir()}
    for file in (folder / "seen").iterdir():
        file.unlink()
    return counts


@pytest.mark.slow
def test_predictions_are_spread_and_stay_in_order(tmp_path, impatient):
    clf, ds = fitted(tmp_path)
    disorder = ds[np.random.default_rng(1).permutation(N)]
    alone = {name: clf.predict_proba(rows) for name, rows in {"in": ds, "dis": disorder}.items()}
    assert set(rows_by_process(tmp_path)) == {str(os.getpid())}
    clf.set_params(n_processes=2)
    for name, rows in {"in": ds, "dis": disorder}.items():
        assert np.allclose(clf.predict_proba(rows), alone[name], atol=1e-6)
        counts = rows_by_process(tmp_path)
        assert len(counts) == 3
        assert sum(counts.values()) == N
        others = [n for pid, n in counts.items() if pid != str(os.getpid())]
        assert max(others) - min(others) <= 1
    clf.predict_to(tmp_path / "out.parquet", disorder, columns=["y"])
    table = pq.read_table(tmp_path / "out.parquet").to_pandas()
    assert table["prediction"].tolist() == clf.classes_[alone["dis"].argmax(1)].tolist()
    assert table["y"].tolist() == list(disorder.target)
    assert clf.score(ds) == np.mean(clf.classes_[alone["in"].argmax(1)] == ds.target)
    assert children() == []


@pytest.mark.slow
def test_what_is_wrong_with_a_row_names_it(tmp_path, impatient):
    clf, ds = fitted(tmp_path)
    clf.set_params(n_processes=2)
    frame = ds.to_pandas()
    frame.loc[3777, "b"] = np.nan
    frame.to_parquet(tmp_path / "bad.parquet", row_group_size=300)
    with pytest.raises(ValueError, match=r"NaN: column 'b', row 3777 of .*bad\.parquet"):
        clf.predict(sn.scan_parquet(tmp_path / "bad.parquet", target="y"))
    frame.loc[3777, list("abcd")] = 3e38
    with pytest.raises(ValueError, match="output for row 3777 of X"):
        clf.predict(sn.as_dataset(frame[list("abcd")]))
    assert children() == []


@pytest.mark.slow
def test_the_death_of_a_process_is_an_error(tmp_path, impatient):
    clf, ds = fitted(tmp_path, dies=True)
    with pytest.raises(ChildProcessError, match="A process that predicts died: SIGKILL"):
        clf.set_params(n_processes=2).predict(ds)
    assert children() == []


@pytest.mark.parametrize(
    ("seconds", "done", "n", "pays"),
    [(4.9, 1, 2, False), (5.1, 10, 1, False), (6.0, 10, 2, True), (6.0, 900, 2, False)],
)
def test_others_are_asked_where_that_pays(seconds, done, n, pays):
    assert spread._pays(seconds, done, 1000, n) is pays


def test_parts_are_equal_and_whole():
    parts = spread._parts(7, 30, 4)
    assert [p.stop - p.start for p in parts] == [5, 6, 6, 6]
    assert (parts[0].start, parts[-1].stop) == (7, 30)
