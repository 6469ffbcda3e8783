"""Ways out of a stream, while a worker dies, stops or does not listen."""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time

import pytest

from tests.faults import _streams
from tests.faults._streams import SECONDS, STATES, WAYS

COUNT = int(os.environ.get("SKLEARNISH_STREAMS", "72"))
"""Streams of the stress run, in all."""

QUICK = [("close", state) for state in STATES if state != "healthy"]
QUICK += [(way, "locks") for way in ("end", "error", "ctrl-c", "garbage")]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return _streams.write_rows(tmp_path_factory.mktemp("streams"))


@pytest.mark.parametrize(("way", "state"), QUICK)
@pytest.mark.filterwarnings("ignore:A worker process:RuntimeWarning")
def test_a_way_out(cell, path, tmp_path, monkeypatch, way, state):
    at = cell(
        f"{WAYS[way]}, with a worker {STATES[state]}", "2 workers", "seconds; nothing is left"
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # whose files are all of this test
    gc.collect()
    before = _streams.held()
    stream = _streams.Stream(path, state, way, tmp_path / "marker", seed=0)
    seconds = _streams.end_by(way, stream)
    del stream
    assert not _streams.left_since(before)
    assert seconds < limit_of(way)
    at.found = "nothing is left"


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(0)
def test_many_beside_two_that_burn_the_cores(cell, tmp_path):
    """A share for each way, all at once."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    folders = {way: tmp_path / f"files of {way}" for way in WAYS}
    for folder in folders.values():
        folder.mkdir()
    share, begun = -(-COUNT // len(WAYS)), time.monotonic()
    outputs = {way: (tmp_path / way).open("w") for way in WAYS}
    try:
        runs = {
            way: subprocess.Popen(
                [sys.executable, "-m", "tests.faults._streams", way, str(share), str(1000 * i)],
                stdout=outputs[way],
                stderr=subprocess.PIPE,
                text=True,
                env=environment | {"TMPDIR": str(folders[way])},
            )
            for i, way in enumerate(WAYS)
        }
        limit = 120 + 5 * COUNT
        ended = {way: _errors(run, begun + limit - time.monotonic()) for way, run in runs.items()}
    finally:
        for each in [*burners, *runs.values()]:
            each.kill()
            each.wait()
        for each in outputs.values():
            each.close()
    for way, errors in ended.items():
        at = cell(
            f"{share} streams end by {WAYS[way]}; workers that are well, busy, dead with every "
            "lock or half a message, stopped, or deaf to SIGTERM",
            "2 workers each, beside two processes that burn the cores",
            f"each within {limit_of(way):g} s; no process, thread, descriptor or file is left",
        )
        found = json.loads(((tmp_path / way).read_text().splitlines() or ["{}"])[-1])
        assert found.get("streams") == share, (found, errors[-3000:])
        worst = max(found["longest"].values())
        at.found = f"the slowest took {worst:.1f} s; left: {found['left'] or 'nothing'}"
        assert worst < limit_of(way), found
        assert not found["left"], found


def limit_of(way):
    """Count the whole stream where it ends by itself; an interpreter takes a second of its own."""
    return SECONDS if way in ("close", "ctrl-c", "garbage") else 3 * SECONDS


def _errors(run, seconds):
    """Return what a program told of errors, once it has ended."""
    try:
        return run.communicate(timeout=max(1.0, seconds))[1]
    except subprocess.TimeoutExpired:
        return "it hung"
