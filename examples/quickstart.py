"""
Quickstart: search over files larger than the memory allowed
============================================================

Writes 640 MB of random rows with a pattern in them to a temporary folder, then searches over
``batch_size`` with scikit-learn's own ``GridSearchCV``. A watching thread measures, all the
while, the memory that this process and its children take beyond the imports, and ends the program
if it passes the cap.
"""

# sphinx_gallery_thumbnail_path = "_static/waiting.png"

import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.model_selection import GridSearchCV

import sklearnish as sn

MB = 2**20
CAP = 512 * MB  # beyond what Python and the imports above take
N_FILES, ROW_GROUPS, ROWS, COLUMNS = 5, 32, 8_192, 128
NAMES = [f"x{i}" for i in range(COLUMNS)]


class MemoryCap(threading.Thread):
    """Measures memory 20 times a second; ends the program where it passes the cap (Linux)."""

    def __init__(self, cap: int) -> None:
        super().__init__(daemon=True)
        self.cap, self.peak, self.imports = cap, 0, memory_in_use()

    def run(self) -> None:
        """Watch until the program ends."""
        while Path("/proc/self/status").exists():
            self.peak = max(self.peak, memory_in_use() - self.imports)
            if self.peak > self.cap:
                print(f"Stopped: {self.peak / MB:.0f} MB in use, over the cap.", flush=True)
                os._exit(1)
            time.sleep(0.05)

    def __str__(self) -> str:
        """Write the peak, if it can be measured here."""
        if not self.peak:
            return "not measured: this needs Linux"
        beyond = f"beyond the {self.imports / MB:.0f} MB of Python and its libraries"
        return f"peak {self.peak / MB:.0f} MB, cap {self.cap / MB:.0f} MB, {beyond}"


def memory_in_use() -> int:
    """Bytes held by this process and its children; pages mapped from files do not count.

    A page that several of them have counts once, as forked workers share what they are born with.
    """
    kilobytes, me = 0, os.getpid()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if me in (int(process.name), int(_table(process / "status")["PPid"])):
                sizes = _table(process / "smaps_rollup")
                held = (sizes.get(name, "0 kB") for name in ("Pss_Anon", "Pss_Shmem"))
                kilobytes += sum(int(size.split()[0]) for size in held)
        except OSError:  # a process that has just ended
            continue
    return kilobytes * 1024


def _table(path: Path) -> dict[str, str]:
    """Read a file of lines `name: value`."""
    return dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)


def write_file(path: Path, row_groups: int, seed: int) -> None:
    """Write random rows, whose label depends on three of their columns, piece by piece."""
    rng = np.random.default_rng(seed)
    schema = pa.schema([*((name, pa.float32()) for name in NAMES), ("label", pa.int8())])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as file:
        for _ in range(row_groups):
            X = rng.standard_normal((COLUMNS, ROWS), dtype=np.float32)
            label = (X[0] * X[1] + X[2] > 0).astype(np.int8)
            file.write_table(pa.table([*X, label], schema))


def main(folder: Path) -> None:
    """Write, search, predict."""
    watch = MemoryCap(CAP)
    watch.start()

    start = time.perf_counter()
    for part in range(N_FILES):
        write_file(folder / f"train-{part}.parquet", ROW_GROUPS, seed=part)
    write_file(folder / "test.parquet", 4, seed=N_FILES)
    ds = sn.scan_parquet(folder / "train-*.parquet", target="label")
    size = ds.shape[0] * ds.shape[1] * 4 / MB
    print(f"Data    {len(ds):,} rows x {ds.shape[1]} columns, {size:.0f} MB in {N_FILES} files")
    print(f"        written in {time.perf_counter() - start:.0f} s\n")

    start = time.perf_counter()
    clf = sn.TorchClassifier(
        max_epochs=1, module_params={"hidden": 64}, shuffle_memory="32MB", random_state=0
    )
    search = GridSearchCV(clf, {"batch_size": [512, 2048, 8192]}, cv=2).fit(ds, ds.target)
    print(
        f"Search  3 batch sizes x 2 folds, then the best on all rows: "
        f"{time.perf_counter() - start:.0f} s\n"
    )
    table = pd.DataFrame(search.cv_results_).rename(
        columns={
            "param_batch_size": "batch_size",
            "mean_test_score": "accuracy",
            "mean_fit_time": "fit (s)",
            "mean_score_time": "score (s)",
        }
    )[["batch_size", "accuracy", "fit (s)", "score (s)"]]
    print(table.round({"accuracy": 3, "fit (s)": 1, "score (s)": 1}).to_string(index=False))

    test = sn.scan_parquet(folder / "test.parquet", target="label")
    print(f"\nTest    accuracy {search.score(test, test.target):.3f} on {len(test):,} other rows;")
    print(f"        the first are {test.target[:8]}, predicted {search.predict(test[:8])}")
    print(f"\nWhere the time of the last fit went\n{search.best_estimator_.pipeline_report_}")
    print(f"\nMemory  {watch};\n        the data has {size:.0f} MB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
