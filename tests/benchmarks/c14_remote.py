"""Parquet over HTTP with 50 ms a request, against the same files on the disk."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import fsspec

import sklearnish as sn
from tests.benchmarks._harness import PAIRS, Ratio, in_turn, median, seconds_of
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks._parquet import N_FEATURES, PIECE, Perceptron, write_parquet

LATENCY = 0.05
PIECES = {"quick": 1, "default": 6, "full": 24}
LOCAL, REMOTE, NEAR = "files on the disk", "objects, 50 ms a request", "objects, 0 ms"


def run(size: str) -> Result:
    """Train, and only read, from each place in turn."""
    n_rows = PIECES[size] * PIECE
    result = Result(
        f"{n_rows:,} rows of {N_FEATURES} float32 in Parquet, served over HTTP by a process of "
        "this machine, which shares its cores with the one that reads: epochs of "
        "`TorchClassifier`, and batches read without a model."
    )
    with tempfile.TemporaryDirectory() as name:
        write_parquet(Path(name, "a.parquet"), n_rows, PIECE // 8)
        with _serving(name, LATENCY) as far, _serving(name, 0.0) as near:
            http = fsspec.filesystem("http")
            local = sn.scan_parquet(Path(name, "a.parquet"), target="y")
            places = {LOCAL: local} | {
                title: sn.scan_parquet(f"{url}a.parquet", target="y", filesystem=http)
                for title, url in ((REMOTE, far), (NEAR, near))
            }
            for title, seconds, least in (
                ("Epochs of a fit", _epoch, 0.8),
                ("Batches alone", _batches, None),
            ):
                contenders = {place: partial(seconds, ds) for place, ds in places.items()}
                samples = in_turn(contenders, 1 if size == "quick" else PAIRS)
                speed = {
                    place: Ratio.of(seconds_of(samples[LOCAL]), seconds_of(own))
                    for place, own in samples.items()
                }
                rows = [
                    [place, f"{median(own, 'seconds'):.2f}", speed[place]]
                    for place, own in samples.items()
                ]
                result.tables.append(table(["", "s", "speed"], rows, f"**{title}**"))
                if least:
                    text = f"{title}, speed of {REMOTE}"
                    ratio = speed[REMOTE]
                    result.bars.append(Bar(text, ratio.median, str(ratio), at_least=least))
    return result


def _epoch(ds: Any) -> float:
    clf = sn.TorchClassifier(Perceptron, batch_size=1024, max_epochs=3, random_state=0)
    clf.fit(ds)
    return statistics.median(epoch["dur"] for epoch in clf.history_)


def _batches(ds: Any) -> float:
    begun = time.perf_counter()
    for _ in ds.batches(1024, random_state=0):
        pass
    return time.perf_counter() - begun


@contextmanager
def _serving(folder: str, latency: float) -> Iterator[str]:
    """Serve a folder from a process of its own; give its URL."""
    command = [sys.executable, "-m", "tests.data.object_server", folder, str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()
