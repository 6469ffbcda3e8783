"""Fit, search and predict on Parquet files under a memory cap smaller than the data.

Writes 640 MB of random rows with a pattern in them to a temporary folder, then searches over
``batch_size`` with scikit-learn's ``GridSearchCV``. A watching thread measures the memory of
this process, workers included, fifty times a second and ends the program if it passes the cap.
"""

import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.model_selection import GridSearchCV

import sklearnish as sn

N_COLUMNS, ROW_GROUP, ROWS_PER_FILE, N_FILES = 64, 65_536, 625_000, 4
CAP = 450 * 2**20


def memory_used() -> int:
    """Bytes that this process and its children hold: what cannot be read from a file again."""
    total, me = 0, os.getpid()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:  # it has just ended
            continue
        if me in (int(fields["Pid"]), int(fields["PPid"])):
            total += sum(int(fields.get(f, "0 kB").split()[0]) for f in ("RssAnon", "RssShmem"))
    return total * 1024


class MemoryCap(threading.Thread):
    """Ends the program when it holds more than it may."""

    def __init__(self, cap: int) -> None:
        super().__init__(daemon=True)
        self.cap, self.peak = cap, 0

    def run(self) -> None:
        """Look fifty times a second."""
        while True:
            self.peak = max(self.peak, memory_used())
            if self.peak > self.cap:
                print(f"Over the cap: {self.peak / 2**20:.0f} MB of memory in use.", flush=True)
                os._exit(1)
            time.sleep(0.02)


def write_file(path: Path, n_rows: int, seed: int) -> None:
    """Write rows whose label depends on their first three columns, row group by row group."""
    rng = np.random.default_rng(seed)
    names = [f"x{i}" for i in range(N_COLUMNS)] + ["label"]
    writer = None
    for start in range(0, n_rows, ROW_GROUP):
        X = rng.standard_normal((N_COLUMNS, min(ROW_GROUP, n_rows - start)), dtype=np.float32)
        label = np.where(X[0] * X[1] + X[2] > 0, "up", "down")
        table = pa.table([*X, label], names=names)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="none")
        writer.write_table(table)
    writer.close()


def main(folder: Path) -> None:
    """Show the whole of it."""
    begun = time.perf_counter()
    for part in range(N_FILES):
        write_file(folder / f"train-{part}.parquet", ROWS_PER_FILE, seed=part)
    write_file(folder / "test.parquet", 100_000, seed=N_FILES)
    ds = sn.scan_parquet(folder / "train-*.parquet", target="label")
    nbytes = ds.shape[0] * ds.shape[1] * 4
    print(f"Data        {len(ds):,} rows x {ds.shape[1]} columns in {N_FILES} Parquet files")
    print(f"            {nbytes / 2**20:.0f} MB, written in {time.perf_counter() - begun:.0f} s")

    watch = MemoryCap(CAP)
    watch.start()
    begun = time.perf_counter()
    clf = sn.TorchClassifier(max_epochs=2, module_params={"hidden": 64}, random_state=0)
    search = GridSearchCV(clf, {"batch_size": [512, 2048, 8192]}, cv=2)
    search.fit(ds, ds.target)
    print(f"Search      3 batch sizes x 2 folds + 1 final fit in {time.perf_counter() - begun:.0f} s")
    print(f"Memory      cap {CAP / 2**20:.0f} MB, peak {watch.peak / 2**20:.0f} MB\n")

    results = search.cv_results_
    print(
        f"{search.best_params_=}",
        results,
    )
    test = sn.scan_parquet(folder / "test.parquet", target="label")
    print(f"\nUnseen rows: accuracy {search.score(test, test.target):.3f}", search.predict(test[:5]))
    print(search.best_estimator_.pipeline_report_)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
