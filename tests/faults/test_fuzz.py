"""Fuzzing of the scan functions, and of load."""

import copy
import functools
import io
import multiprocessing
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sklearnish as sn
from tests.faults import _data
from tests.faults._cells import Cell
from tests.persistence.common import rewritten

EXPECTED = "ValueError, OSError or DatasetChangedError; no crash, no hang, nothing written outside"
SECONDS = 30
MEMORY = 4 * 2**30

OPEN = [
    Cell(
        "mutated bytes for days (a fuzzer that watches the branches taken)",
        "the parsers of Arrow, Pillow and libjpeg",
        "no crash",
        "not done here: they are fuzzed by their own projects (OSS-Fuzz)",
    ),
]


# In the child


def read_all(name, path, folder):
    """Scan a file and read all its rows and labels."""
    if name == "model":
        load_model(path, folder)
    elif name.startswith("csv_copy"):
        read_copy_of_csv(path, folder, name)
    elif name in PICTURES:
        read(sn.scan_images([path]))
    else:
        kind = {"gz": "csv", "tar": "images"}.get(name, name)
        read(getattr(sn, f"scan_{kind}")(path))


def read(ds):
    """Read all columns, and batches of those that are numbers."""
    if len(ds) > 100_000:
        raise ValueError(f"{len(ds)} rows of a small file are possible, but not read here")
    if ds.source.tabular:
        ds.source.read(np.arange(len(ds)), list(ds.source.schema))
        ds = ds.select([n for n, field in ds.source.schema.items() if field.kind == "number"])
    for _ in ds.batches(64, num_workers=0):
        pass


def read_copy_of_csv(path, folder, name):
    """Put the mutated bytes in the place of the converted copy of a CSV file."""
    source = folder / "source.csv"
    if not source.exists():
        source.write_bytes(csv())
    copy = Path(sn.scan_csv(source).source.path)
    target = copy.with_suffix(".json") if name == "csv_copy_json" else copy
    kept = target.read_bytes()
    path.replace(target)
    try:
        read(sn.scan_csv(source))
    finally:
        path.write_bytes(kept)
        path.replace(target)  # another file, so that a mapping of the old one stays whole


def load_model(path, folder):
    """Put the mutated bytes in the place of a model's JSON, under the right hash; use it."""
    whole, changed = folder / "whole.sn", folder / "changed.sn"
    if not whole.exists():
        sn.save(fitted(), whole)
    shutil.copy(whole, changed)
    loaded = sn.load(rewritten(changed, {"model.json": path.read_bytes()}))
    with suppress(
        Exception
    ):  # whatever a wrong model raises; but it runs, writes and opens nothing
        copy.deepcopy(loaded)
        repr(loaded)
        loaded.predict(np.zeros((3, 3), np.float32))
        loaded.partial_fit(np.zeros((4, 3), np.float32), np.arange(4) % 2)


def fitted():
    """Fit a small model."""
    torch.set_num_threads(1)
    schedule = functools.partial(torch.optim.lr_scheduler.StepLR, step_size=1)
    clf = sn.TorchClassifier(
        max_epochs=1,
        module_params={"hidden": 2},
        lr_schedule=schedule,
        num_workers=0,
        random_state=0,
    )
    return clf.fit(np.ones((8, 3), np.float32), np.arange(8) % 2)


def watch(folder):
    """Raise SystemExit when something is written outside, connected to or started."""

    def look(event, args):
        if event == "open" and not isinstance(args[0], int):
            flags = args[2] or 0
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            path = Path(os.fsdecode(args[0])).resolve()
            inside = path.is_relative_to(folder) or path == Path(os.devnull)
            if writes and not inside:
                raise SystemExit(f"opened {args[0]} for writing")
        if event in ("socket.connect", "subprocess.Popen", "os.system", "os.exec"):
            raise SystemExit(f"{event} {args}")

    sys.addaudithook(look)


def serve(pipe, folder):
    """Read files as they are sent; answer what happened."""
    import resource
    import warnings

    warnings.simplefilter("ignore")
    os.environ["SKLEARNISH_CACHE"] = str(folder / "cache")
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    tempfile.tempdir = str(folder)
    list(sn.scan_images([_write(folder, "a.png", _data.picture(3))]).batches(1))  # imports
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    watch(folder)
    pipe.send("ready")
    while True:
        name, data = pipe.recv()
        path = _write(folder, f"a.{ENDINGS.get(name, name)}", data)
        try:
            read_all(name, path, folder)
            pipe.send("read")
        except (ValueError, OSError, sn.DatasetChangedError) as error:
            pipe.send(f"{type(error).__name__}: {error}")
        except BaseException as error:
            import traceback

            pipe.send(f"BAD {type(error).__name__}: {error}\n{traceback.format_exc()}")


def _write(folder, name, data):
    """Write a new file: one that is mapped must not change."""
    path = folder / name
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


# In the test


class Child:
    """A process that reads files, started again after it died."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp()).resolve()
        self.process = None

    def read(self, name, data):
        """Say what happened to a file."""
        if self.process is None:
            self.start()
        try:
            self.pipe.send((name, data))
            if self.pipe.poll(SECONDS):
                return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code, self.process = self.process.exitcode, None
            return f"BAD died with exit code {code}"
        self.close()
        return f"BAD hung for {SECONDS} s"

    def start(self):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.folder), daemon=True)
        self.process.start()
        theirs.close()
        assert self.pipe.recv() == "ready"

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


@pytest.fixture(scope="module")
def child():
    child = Child()
    yield child
    child.close()
    shutil.rmtree(child.folder)


def parquet(**options):
    file = io.BytesIO()
    table = pa.table(
        {
            "a": np.linspace(0, 1, 60),
            "b": np.arange(60, dtype=np.int32),
            "text": [f"row {i % 7}" for i in range(60)],
            "flag": np.arange(60) % 3 == 0,
        }
    )
    pq.write_table(table, file, row_group_size=20, **options)
    return file.getvalue()


def csv(n=60):
    rows = (f'{i},{i / 7},"text, {i % 5}",2024-01-{i % 28 + 1:02}' for i in range(n))
    return "\n".join(["a,b,c,d", *rows, ""]).encode()


def npy():
    file = io.BytesIO()
    np.save(file, np.arange(60, dtype=np.float32).reshape(20, 3))
    return file.getvalue()


def tar():
    import tarfile

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for i in range(4):
            data = _data.picture(i)
            member = tarfile.TarInfo(f"{'cät' * (40 if i == 3 else 1)}/{i}.png")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def packed():
    import gzip

    return gzip.compress(csv())


def model():
    import zipfile

    with tempfile.TemporaryDirectory() as folder:
        sn.save(fitted(), Path(folder) / "a.sn")
        with zipfile.ZipFile(Path(folder) / "a.sn") as archive:
            return archive.read("model.json")


def copy_of_csv():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(csv())
        return Path(sn.scan_csv(path).source.path).read_bytes()


PICTURES = ("jpeg", "png", "webp")
ENDINGS = {"gz": "csv.gz"}
SEEDS = {
    "parquet": lambda: parquet(),
    "csv": csv,
    "gz": packed,
    "npy": npy,
    "tar": tar,
    "model": model,
    "csv_copy": copy_of_csv,
    "csv_copy_json": lambda: b"[0]",
    "jpeg": lambda: _data.picture(90, "JPEG", 24),
    "png": lambda: _data.picture(90, "PNG", 24),
    "webp": lambda: _data.picture(90, "WEBP", 24),
}
_VALUES = st.sampled_from(
    [b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff" * 8, b"", b'"']
)
_EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "flip", "insert", "delete", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.one_of(_VALUES, st.binary(min_size=1, max_size=6)),
        st.integers(1, 64),
    ),
    min_size=1,
    max_size=4,
)


def mutate(data, edits, kept):
    """Apply edits at relative places, then cut."""
    out = bytearray(data)
    for kind, share, value, n in edits:
        i = int(share * len(out))
        if kind == "set":
            out[i : i + len(value)] = value
        elif kind == "flip" and out:
            out[i] ^= 1 << n % 8
        elif kind == "insert":
            out[i:i] = value * n
        elif kind == "delete":
            del out[i : i + n]
        elif kind == "repeat":
            out[i:i] = out[i : i + n]
    return bytes(out[: int(len(out) * kept)])


EXAMPLES = [
    20,
    pytest.param(1500, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
]


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("name", SEEDS)
def test_mutated_files_are_read_or_refused(cell, child, name, examples):
    here = cell(f"{examples} mutated files", name, EXPECTED)
    seed, answers = SEEDS[name](), []
    assert child.read(name, seed) == "read"

    @settings(
        max_examples=examples, suppress_health_check=list(HealthCheck), database=None, deadline=None
    )
    @given(edits=_EDITS, kept=st.one_of(st.just(1.0), st.floats(0, 1)))
    def run(edits, kept):
        answer = child.read(name, mutate(seed, edits, kept))
        assert not answer.startswith("BAD"), answer
        answers.append(answer)

    run()
    n_read = answers.count("read")
    here.found = f"{n_read} read, {len(answers) - n_read} refused"


def test_the_child_sees_what_it_should(child):
    """The watch itself works: a write outside and a crash are seen."""
    assert child.read("npy", b"no array").startswith("ValueError")
    child.pipe.send(("no such name", b""))
    assert child.pipe.recv().startswith("BAD AttributeError")
    child.process.kill()
    assert child.read("npy", npy()).startswith("BAD died")
    assert child.read("npy", npy()) == "read"
