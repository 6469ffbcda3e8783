"""Killed while writing, full disks."""

import multiprocessing
import os
import pickle
import resource
import signal
import subprocess
import time
import traceback
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sklearnish as sn
from sklearnish.data._arrow.table_file import CacheSource, write_cache
from tests.faults._cells import Cell

ROWS = 40_000
KILLS = [8, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
WHOLE = "the old or the new one, whole; the next run works and removes leftovers"

OPEN = [
    Cell(
        "killed while writing",
        "where files cannot be locked (some network file systems, Windows)",
        "leftovers are removed",
        "old and new files are whole, but temporary files (.NAME.xxxxxxxx.part) stay",
    ),
]


def features():
    return np.arange(ROWS * 4, dtype=np.float32).reshape(ROWS, 4) % 1000


# What is written: `prepare` once, `write` by a process that is killed, `check` what is there.


class CopyOfCsv:
    """The conversion of a CSV file into the cache folder."""

    def prepare(self, folder):
        np.savetxt(folder / "a.csv", features(), "%g", ",", header="a,b,c,d", comments="")

    def write(self, folder):
        os.environ["SKLEARNISH_CACHE"] = str(folder / "out")
        sn.scan_csv(folder / "a.csv")

    def check(self, folder):
        found = list((folder / "out").glob("*.arrow"))
        for path in found:
            read = CacheSource(path).read(np.arange(ROWS), ["d"])["d"].to_numpy()
            np.testing.assert_array_equal(read, features()[:, 3])
        return "new" if found else "none"

    def reset(self, folder):
        for path in (folder / "out").glob("[!.]*"):
            path.unlink()


class CacheFolder:
    """``ds.cache``."""

    def prepare(self, folder):
        np.save(folder / "X.npy", features())

    def dataset(self, folder):
        return sn.scan_npy(folder / "X.npy", target=np.arange(ROWS) % 2)

    def write(self, folder):
        cached = self.dataset(folder).cache(folder / "out" / "cache")
        assert len(cached) == ROWS

    def check(self, folder):
        if not (folder / "out" / "cache").exists():
            return "none"
        cached = self.dataset(folder).cache(folder / "out" / "cache")
        np.testing.assert_array_equal(cached.read(np.arange(ROWS)).X.numpy(), features())
        np.testing.assert_array_equal(cached.target, np.arange(ROWS) % 2)
        return "new"

    def reset(self, folder):
        if (folder / "out" / "cache").exists():
            for path in (folder / "out" / "cache").iterdir():
                path.unlink()
            (folder / "out" / "cache").rmdir()


class Predictions:
    """``predict_to`` over an older file."""

    def __init__(self, suffix):
        self.path = Path("out", f"answers{suffix}")

    def prepare(self, folder):
        np.save(folder / "X.npy", features())
        X, y = features()[::400], np.arange(ROWS)[::400] % 3
        clf = sn.TorchClassifier(max_epochs=1, random_state=0, num_workers=0).fit(X, y)
        (folder / "clf").write_bytes(pickle.dumps(clf))
        self.reset(folder)
        np.save(folder / "new.npy", clf.predict(features()))

    def write(self, folder):
        clf = pickle.loads((folder / "clf").read_bytes())
        clf.predict_to(folder / self.path, sn.scan_npy(folder / "X.npy"))

    def read(self, folder):
        path = folder / self.path
        if path.suffix == ".npy":
            return np.load(path)
        return pq.read_table(path).column(0).to_numpy()

    def check(self, folder):
        answers = self.read(folder)
        if len(answers) == 2:
            return "old"
        np.testing.assert_array_equal(answers, np.load(folder / "new.npy"))
        return "new"

    def reset(self, folder):
        path = folder / self.path
        if path.suffix == ".npy":
            np.save(path, np.zeros(2))
        else:
            pq.write_table(pa.table({"x": np.zeros(2)}), path)


WRITERS = {
    "copy of CSV": CopyOfCsv(),
    "ds.cache folder": CacheFolder(),
    "predict_to, Parquet": Predictions(".parquet"),
    "predict_to, npy": Predictions(".npy"),
}


def nursery(pipe):
    """Fork processes from one that has imported everything, and kill them after some seconds."""
    while True:
        function, args, delay = pipe.recv()
        begun = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            _run_and_exit(function, args)
        if delay is not None:
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)  # not waited for yet, so that the number is still its own
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        pipe.send((code, time.perf_counter() - begun))


def _run_and_exit(function, args):
    code = 1
    try:
        function(*args)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


@pytest.fixture(scope="module")
def forked():
    """Run a function in a forked process; return its exit code and seconds."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=nursery, args=(theirs,), daemon=True)
    process.start()
    theirs.close()

    def run(function, *args, kill_after=None):
        ours.send((function, args, kill_after))
        return ours.recv()

    yield run
    process.kill()
    process.join()


def write(where, folder):
    WRITERS[where].write(folder)


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("where", WRITERS)
def test_killed_at_any_moment(tmp_path, cell, forked, monkeypatch, where, kills):
    here = cell(f"kill -9 at {kills} random moments", where, WHOLE)
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "out"))
    writer, out = WRITERS[where], tmp_path / "out"
    out.mkdir()
    writer.prepare(tmp_path)
    code, seconds = forked(write, where, tmp_path)
    assert (code, writer.check(tmp_path)) == (0, "new")
    rng, left, states = np.random.default_rng(kills), 0, []
    for _ in range(kills):
        writer.reset(tmp_path)
        forked(write, where, tmp_path, kill_after=rng.uniform(0, 1.1 * seconds))
        states.append(writer.check(tmp_path))
        left += any(out.glob(".*.part"))
        if states[-1] != "new":
            writer.write(tmp_path)
            assert writer.check(tmp_path) == "new"
            assert not list(out.glob(".*.part"))
    counts = ", ".join(f"{states.count(s)} times {s}" for s in sorted(set(states)))
    here.found = f"{counts}; {left} leftovers, all removed by the next run"


# Full disks


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system is not permitted")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def batches():
    for _ in range(200):
        yield pa.record_batch({"x": np.random.default_rng(0).random(10_000)})


def fill(where, folder, disk):
    """Write more than fits."""
    if where == "copy in the cache folder":
        write_cache(disk / "out", batches(), {"x": pa.float64()})
    elif where == "ds.cache folder":
        sn.as_dataset(np.zeros((1_000_000, 4), np.float32)).cache(disk / "out")
    else:
        clf = sn.TorchClassifier(max_epochs=1, num_workers=0, random_state=0)
        clf.fit(features()[:200], np.arange(200) % 100)
        path = disk / f"out{where[-8:] if where.endswith('parquet') else where[-4:]}"
        rows = np.random.default_rng(0).random((ROWS, 4), np.float32)  # no two answers are alike
        clf.predict_to(path, rows, method="predict_proba")


DISKS = [
    "copy in the cache folder",
    "ds.cache folder",
    "predict_to .parquet",
    "predict_to .npy",
]


@pytest.mark.parametrize("where", DISKS)
def test_a_full_disk(tmp_path, cell, small_disk, where):
    here = cell("a full disk", where, "OSError names the path; the old file is intact")
    old = small_disk / (
        "out" + {"parquet": ".parquet", "npy": ".npy"}.get(where.split(".")[-1], "")
    )
    if where != "ds.cache folder":
        old.write_text("old")
    with pytest.raises(OSError, match=str(old)) as caught:
        fill(where, tmp_path, small_disk)
    if where != "ds.cache folder":
        assert old.read_text() == "old"
    assert [p for p in small_disk.iterdir() if p != old] == []
    here.found = f"OSError: {caught.value}".replace(str(tmp_path), "…")[:100]


def test_a_disk_that_fills_up_behind_a_mapped_file(tmp_path, cell, small_disk, monkeypatch):
    """The look at the free space may be too early: writing must not end in SIGBUS."""
    here = cell("a disk that fills up after the look at its room", "ds.cache folder", "OSError")
    monkeypatch.setattr("sklearnish.data._write_rows.check_free_space", lambda *_: None)
    with pytest.raises(OSError, match=str(small_disk / "out")):
        fill("ds.cache folder", tmp_path, small_disk)
    assert list(small_disk.iterdir()) == []
    here.found = "OSError names the path; nothing is left"


def limited(where, folder):
    """Write files of at most 100 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    with pytest.raises(OSError, match="could not be written") as caught:
        fill(where, folder, folder)
    (folder / "answer").write_text(str(caught.value))


@pytest.mark.parametrize("where", DISKS)
def test_a_limit_on_files(tmp_path, cell, forked, where):
    """Runs without the right to mount, too."""
    here = cell("a file above what the system allows (ulimit -f)", where, "OSError names the path")
    code, _ = forked(limited, where, tmp_path)
    assert code == 0
    text = (tmp_path / "answer").read_text()
    assert f"{tmp_path}/out" in text
    assert [p.name for p in tmp_path.iterdir()] == ["answer"]
    here.found = text.replace(str(tmp_path), "…")[:100]
