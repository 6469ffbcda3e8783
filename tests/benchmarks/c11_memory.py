"""Memory of a fit over Parquet, as files grow: row numbers and labels, not the data."""

import tempfile
import time
from pathlib import Path

from tests.benchmarks._harness import own_caches
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks._parquet import N_FEATURES, PANDAS_GROUP, PIECE, write_parquet
from tests.test_memory import (
    BYTES_PER_ROW,
    CAP,
    MB,
    Watched,
    proportional_bytes,
)

PIECES = {"quick": (1, 2), "default": (16, 32), "full": (16, 64, 256)}
"""Sizes of the files, in PIECEs of 65,536 rows: of 25 MB. Growth is that beyond what
`shuffle_memory` may hold, so the least of them is larger; "quick" shows only that it runs."""

LIGHT_ROWS = 64 * PIECE
"""Rows, about 4 million, up to which everything stays below the cap."""

FIT = """
import sys
import torch
import sklearnish as sn

torch.set_num_threads(1)
print("imported", flush=True)
sys.stdin.readline()
ds = sn.scan_parquet(sys.argv[1], target="y")
num_workers = sys.argv[2] if sys.argv[2] == "auto" else int(sys.argv[2])
clf = sn.TorchClassifier(
    module_params={"hidden": 32}, num_workers=num_workers, batch_size=1024, max_epochs=1,
    random_state=0,
)
clf.fit(ds, ds.target)
print(f"{len(ds)} {clf.pipeline_report_.mode} {clf.pipeline_report_.num_workers}", flush=True)
"""


def run(size: str) -> Result:
    result = Result(
        f"One epoch over Parquet of {N_FEATURES} float32 columns, batch 1024, each fit in a fresh "
        "process: most anonymous and shared memory of it and its workers, looked at every 10 ms, "
        "over what there was after the imports. With workers, which are forked, a page that "
        "several processes share is counted once (Pss_Anon + Pss_Shmem, not RssAnon + RssShmem)."
    )
    settings = ("auto",) if size == "default" else ("auto", "2")
    for title, group in (("65,536", PIECE), ("1,048,576, as pandas writes them", PANDAS_GROUP)):
        peaks: dict[str, dict[int, int]] = {n: {} for n in settings}
        rows = []
        for n_rows in (PIECE * pieces for pieces in PIECES[size]):
            with tempfile.TemporaryDirectory() as folder:
                path = write_parquet(Path(folder, "data.parquet"), n_rows, group)
                for num_workers in settings:
                    print(f"  row groups of {title}, {n_rows:,} rows, {num_workers}", flush=True)
                    peak, *figures = _fit(path, num_workers, n_rows)
                    peaks[num_workers][n_rows] = peak
                    rows.append([f"{n_rows:,}", num_workers, *figures, f"{peak / MB:.0f}"])
        header = ["rows", "`num_workers`", "GB on disk", "read by", "s in all", "peak MB"]
        result.tables.append(table(header, rows, f"**row groups of {title}**"))
        for num_workers, own in peaks.items():
            result.bars += _bars(f"row groups of {title}, `num_workers={num_workers}`", own)
    return result


def _fit(path: Path, num_workers: str, n_rows: int) -> tuple[int, str, str, str]:
    """Fit in a fresh process, with a cache of its own; return bytes, and words for the table."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, own_caches(folder):
        peak, printed = Watched(
            FIT, str(path), num_workers, measure=proportional_bytes
        ).peak_over_imports()
    seconds = time.perf_counter() - begun
    counted, mode, workers = printed.split()
    assert int(counted) == n_rows
    used = f"{mode}, {workers} workers" if workers != "0" else mode
    return peak, f"{path.stat().st_size / 1e9:.2f}", used, f"{seconds:.1f}"


def _bars(name: str, peaks: dict[int, int]) -> list[Bar]:
    (few, least), *_, (many, most) = peaks.items()
    growth = (most - least) / (many - few)
    text = f"{name}, bytes of memory for a row more"
    bars = [Bar(text, growth, f"{growth:.1f}", at_most=BYTES_PER_ROW)]
    light = max(n_rows for n_rows in peaks if n_rows <= LIGHT_ROWS)
    peak, text = peaks[light] / MB, f"{name}, MB over the imports at {light:,} rows"
    return [*bars, Bar(text, peak, f"{peak:.0f}", at_most=CAP / MB)]
