"""Data that changes during fit."""

import os
import shutil
import threading
import time

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

import sklearnish as sn
from tests.faults import _data
from tests.faults._cells import Cell

OLD, NEW = 1, 7
FORMATS = [
    "Parquet",
    "CSV",
    "copy of CSV",
    "npy",
    "images in folders",
    "images in a tar",
    "ds.cache folder",
]
LISTED = ["Parquet", "CSV", "npy", "images in folders"]
WORKERS = {"inline": 0, "a thread": "auto", "2 workers": 2}
EXPECTED = "DatasetChangedError names the file; no batch of new rows"

OPEN = [
    Cell(
        "rewritten with the same size within one tick of the file system's clock (some "
        "milliseconds) after the scan, or its time put back",
        "all",
        "DatasetChangedError",
        "not noticed: a file is known by its size and time",
    ),
    Cell(
        "written through a memory map of another process",
        "npy, Parquet",
        "DatasetChangedError",
        "noticed once the system notes the new time of the file, which may be after some batches",
    ),
]


class Probe(nn.Module):
    """A small model that remembers the values that it has seen."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 2)
        self.seen = set()

    def forward(self, X):
        X = X.float().flatten(1)
        self.seen |= set(X.unique().tolist())
        return self.linear(X[:, :1] / 255)


class Once(Callback):
    """Do something after the first batch."""

    def __init__(self, do):
        self.do, self.done = do, False

    def on_batch_end(self, net, **kwargs):
        if not self.done:
            self.done = True
            self.do()


def rewrite(path, new):
    """Write over a file in place."""
    path.write_bytes(new.read_bytes())


def replace(path, new):
    """Put another file in its place."""
    beside = path.with_name(f".{path.name}")
    shutil.copy(new, beside)
    beside.replace(path)


def truncate(path, new):
    """Cut a file short when nobody reads it: see OPEN."""
    time.sleep(0.1)  # what is read ahead is read by then
    os.truncate(path, path.stat().st_size // 2)


def delete(path, new):
    path.unlink()


def add(path, new):
    """Put a file beside it."""
    shutil.copy(new, path.with_name(f"new{path.suffix}"))


CHANGES = {
    "rewritten": rewrite,
    "replaced": replace,
    "truncated": truncate,
    "deleted": delete,
    "a file added": add,
}


CASES = [
    pytest.param(
        change,
        where,
        mode,
        # Starting workers takes a second: the quick part does so for one change of each format.
        marks=[pytest.mark.slow] * (mode == "2 workers" and change != "truncated"),
    )
    for change in CHANGES
    for where in (FORMATS if change != "a file added" else LISTED)
    for mode in WORKERS
]


@pytest.mark.parametrize(("change", "where", "mode"), CASES)
def test_a_change_during_fit_is_an_error(tmp_path, cell, change, where, mode):
    here = cell(change, f"{where}, {mode}", EXPECTED)
    seen = set()

    class Seeing(Probe):
        def __init__(self):
            super().__init__()
            self.seen = seen

    ds, path = _data.scan(where, tmp_path / "old", OLD)
    _, new = _data.scan(where, tmp_path / "new", NEW)
    once = Once(lambda: CHANGES[change](path, new))
    clf = sn.TorchClassifier(
        Seeing, max_epochs=3, batch_size=16, num_workers=WORKERS[mode], callbacks=[once]
    )
    with pytest.raises(sn.DatasetChangedError) as caught:
        clf.fit(ds)
    assert once.done
    named = path.with_name(f"new{path.suffix}") if change == "a file added" else path
    assert str(named) in str(caught.value)
    assert seen == {OLD}
    here.found = f"DatasetChangedError: {caught.value}".replace(str(tmp_path), "…")[:90]


@pytest.mark.parametrize("where", LISTED)
def test_a_file_added_before_fit_is_an_error(tmp_path, cell, where):
    here = cell("a file added before fit", where, "DatasetChangedError names it")
    ds, path = _data.scan(where, tmp_path, OLD)
    add(path, path)
    with pytest.raises(sn.DatasetChangedError, match=rf"new{path.suffix} was added"):
        sn.TorchClassifier(Probe, max_epochs=1).fit(ds)
    path.with_name(f"new{path.suffix}").unlink()
    sn.TorchClassifier(Probe, max_epochs=1).fit(ds)
    here.found = "named; once it is taken out, fit goes on"


def test_a_named_file_has_no_neighbours(tmp_path):
    _, path = _data.scan("npy", tmp_path)
    ds = sn.scan_npy(path, target=_data.labels())
    add(path, path)
    assert len(list(ds.batches(16))) == _data.ROWS // 16


def test_files_of_other_kinds_may_come_and_go(tmp_path, cell):
    here = cell("a file of another kind added", "images in folders, Parquet", "no error")
    ds, path = _data.scan("images in folders", tmp_path / "images")
    (path.parent / "notes.txt").write_text("no picture")
    (path.parent / ".new.png").write_bytes(b"half a picture")
    assert len(list(ds.batches(_data.ROWS))) == 1
    ds, path = _data.scan("Parquet", tmp_path / "tables")
    (path.parent / "notes.txt").write_text("no table")
    assert len(list(ds.batches(2 * _data.ROWS))) == 1
    here.found = "read as before"


def read_into(seen, batches):
    """Note all values, those before an error too."""
    for X, _ in batches:
        seen.update(torch.unique(X).tolist())


@pytest.mark.slow
@pytest.mark.parametrize("where", ["Parquet", "npy", "images in folders", "images in a tar"])
def test_files_replaced_all_the_time_never_mix(tmp_path, cell, where):
    """Whatever the moment: old rows alone until the error."""
    here = cell("replaced at 30 random moments", where, EXPECTED)
    rng = np.random.default_rng(0)
    for _ in range(30):
        ds, path = _data.scan(where, tmp_path / "old", OLD)
        _, new = _data.scan(where, tmp_path / "new", NEW)
        timer = threading.Timer(rng.uniform(0, 0.05), replace, (path, new))
        timer.start()
        seen = set()
        with pytest.raises(sn.DatasetChangedError):
            read_into(seen, ds.batches(16, epochs=10_000, num_workers=0))
        timer.join()
        assert seen <= {OLD}
    here.found = "30 times the error, no new row"


def test_a_csv_that_changes_while_it_is_converted(tmp_path, cell, monkeypatch):
    here = cell("written to while it is converted", "CSV", "DatasetChangedError; no copy is kept")
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,1\n" * 500_000)
    done = threading.Event()

    def go_on_writing():
        while not done.wait(0.001):
            with path.open("a") as file:
                file.write("7,7\n")

    writer = threading.Thread(target=go_on_writing)
    writer.start()
    try:
        with pytest.raises(sn.DatasetChangedError, match=r"a\.csv changed"):
            sn.scan_csv(path)
    finally:
        done.set()
        writer.join()
    assert not list((tmp_path / "cache").glob("*.arrow"))
    here.found = "DatasetChangedError; the cache folder is empty"
