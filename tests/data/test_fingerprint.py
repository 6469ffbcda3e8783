import enum
import functools
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

import sklearnish as sn
from sklearnish.data._fingerprint import fingerprint, fingerprint_of_rows

ROOT = str(Path(__file__).parents[2])


def plus(k):
    return lambda x: x + k


def local(flag):
    class Module(nn.Module):
        def __init__(self):
            super().__init__()

        if flag:

            def forward(self, X):
                return X + 1

        else:

            def forward(self, X):
                return X - 1

    return Module


class Knows:
    def __init__(self, value):
        self.value = value
        self.itself = self


def seeded_linear(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))


DIFFERENT = [
    None,
    False,
    0,
    0.0,
    "",
    b"",
    [],
    (),
    {},
    [[]],
    [1, 2],
    [[1], 2],
    [12],
    ["1", "2"],
    {"a": 1},
    {"a": 2},
    {"b": 1},
    {1, 2},
    np.zeros(0),
    np.zeros(3),
    np.zeros(3, np.float32),
    np.zeros((3, 1)),
    np.arange(3.0),
    np.array(["a", "b", None], object),
    torch.zeros(3),
    torch.zeros(3, dtype=torch.bfloat16),
    torch.zeros(3, 1),
    torch.float32,
    torch.device("cpu"),
    torch.optim.SGD,
    torch.optim.Adam,
    torch.relu,
    torch.nn.functional.relu,
    functools.partial(torch.optim.SGD, lr=0.1),
    functools.partial(torch.optim.SGD, lr=0.2),
    lambda x: x,
    lambda x: x + 1,
    lambda x: x + 2,
    plus(1),
    plus(2),
    local(True),
    local(False),
    Knows(1),
    Knows(2),
    seeded_linear(0),
    seeded_linear(1),
    sp.csr_array(np.eye(2)),
    np.random.default_rng(0),
    np.random.default_rng(1),
]


def test_what_differs_has_another_hash():
    names = [fingerprint(value) for value in DIFFERENT]
    assert len(set(names)) == len(names)


def test_what_is_equal_has_the_same_hash():
    for a, b in [
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.arange(12).reshape(3, 4)[:, ::2], np.arange(12).reshape(3, 4)[:, ::2].copy()),
        (torch.arange(12).reshape(3, 4).T, torch.arange(12).reshape(3, 4).T.contiguous()),
        (seeded_linear(0), seeded_linear(0)),
        (plus(1), plus(1)),
        ({"x", "y", "z"}, {"z", "y", "x"}),
        (Knows([1]), Knows([1])),
    ]:
        assert fingerprint(a) == fingerprint(b)
    one = "".join(["a", "b"])
    assert fingerprint(["ab", "ab"]) == fingerprint([one, "".join(["a", "b"])])


def scaled_loss(alpha):
    @functools.wraps(nn.functional.cross_entropy)
    def loss(out, y, **options):
        return alpha * nn.functional.cross_entropy(out, y, **options)

    return loss


def frozen(flag):
    net = seeded_linear(0)
    net[0].requires_grad_(not flag)
    return net


def tied(flag):
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    for layer in net:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    if flag:
        net[1].weight = net[0].weight
    return net


def made_with(power):
    return type("Power", (nn.Module,), {"forward": lambda self, X: X, "power": power})


def with_attribute(scale):
    def f(x):
        return x * f.scale

    f.scale = scale
    return f


def handled(otherwise):
    known = {"__name__": "__main__"}
    ends = "else:\n  q(x)" if otherwise else ""
    body = "p(x)" if otherwise else "p(x); q(x)"
    text = f"try:\n  {body}\nexcept ValueError:\n  r(x)\n{ends}"
    lines = "\n ".join(text.splitlines())
    exec(f"def f(x):\n {lines}", known)
    return known["f"]


def word(value):
    known = {"__name__": "__main__", "enum": enum}
    exec(f"class Word(str, enum.Enum):\n  A = {value!r}", known)
    return known["Word"].A


@pytest.mark.parametrize(
    ("make", "one", "other"),
    [
        (scaled_loss, 1, 100),
        (frozen, True, False),
        (tied, True, False),
        (made_with, 1, 2),
        (with_attribute, 1, 2),
        (handled, True, False),
        (word, "a", "b"),
        (range, 3, 4),
    ],
)
def test_what_another_fit_would_do_differently(make, one, other):
    assert fingerprint(make(one)) == fingerprint(make(one))
    assert fingerprint(make(one)) != fingerprint(make(other))


def test_one_thing_in_two_places_is_what_two_equal_ones_are():
    f = plus(1)
    assert fingerprint([f, f]) == fingerprint([f, plus(1)]) == fingerprint([plus(1), plus(1)])
    assert fingerprint([f, plus(2)]) != fingerprint([f, f])


def test_neither_many_rows_nor_shared_functions_take_long():
    begun = time.perf_counter()
    fingerprint(range(10**15))
    known = {"__name__": "__main__"}
    lines = ["def f0(x):\n  return x"]
    for i in range(40):
        lines += [f"def g{i}(x):\n  return f{i}(x)", f"def h{i}(x):\n  return f{i}(x) + 1"]
        lines += [f"def f{i + 1}(x):\n  return g{i}(x) + h{i}(x)"]
    exec("\n".join(lines), known)
    fingerprint(known["f40"])  # to which 2 ** 40 ways lead
    assert time.perf_counter() - begun < 20


def test_weights_that_are_not_there_yet():
    net = nn.LazyLinear(2)
    assert fingerprint(net) == fingerprint(net) != fingerprint(nn.LazyLinear(3))


SCRIPT = """
import numpy as np, torch
from torch import nn
from sklearnish.data._fingerprint import fingerprint, fingerprint_of_rows
import sklearnish as sn
{comment}
class Module(nn.Module):
    def forward(self, X):
        return X + {number}
def f(x):
    return {{"a", "b", "c"}} and x
X = np.arange(10.0).reshape(5, 2)
print(fingerprint(Module, f, {{"a", "b", "c"}}, lambda x: x, torch.ones(2)))
print(fingerprint_of_rows(sn.as_dataset(X, [0, 1, 0, 1, 0])))
"""


def test_the_hash_is_the_same_in_another_process(tmp_path):
    hashes = []
    for seed, comment, number in [("1", "", 1), ("2", "# a comment", 1), ("3", "", 2)]:
        script = tmp_path / "script.py"
        script.write_text(SCRIPT.format(comment=comment, number=number))
        done = subprocess.run(
            [sys.executable, str(script)],
            env={
                "PYTHONHASHSEED": seed,
                "PATH": "",
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": ROOT,
            },
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.append(done.stdout.split())
    assert hashes[0] == hashes[1]  # whatever the order of sets, and the line numbers
    assert hashes[0][0] != hashes[2][0]  # a class of the script itself that was changed
    assert hashes[0][1] == hashes[2][1]


def test_what_is_ours_may_move_to_another_file():
    here, there, theirs = (
        type("Source", (), {"__module__": module})
        for module in ("sklearnish.data._a", "sklearnish.data._b.c", "other.data._a")
    )
    assert fingerprint(here) == fingerprint(there) != fingerprint(theirs)
    assert fingerprint(here()) == fingerprint(there()) != fingerprint(theirs())


def test_what_cannot_be_told_from_another_is_refused():
    with pytest.raises(TypeError, match="lock cannot be identified"):
        fingerprint({"a": threading.Lock()})


ROWS, LABELS = np.arange(24.0).reshape(6, 4), np.array([0, 1, 0, 1, 0, 1])
FRAME = pd.DataFrame(ROWS, columns=list("abcd"))


def moved(x):
    return x + 1


def views(tmp_path):
    if not (tmp_path / "rows.npy").exists():  # one that is written again is another file
        FRAME.assign(y=LABELS).to_parquet(tmp_path / "rows.parquet", row_group_size=2)
        np.save(tmp_path / "rows.npy", ROWS)
    return {
        "array": sn.as_dataset(ROWS, LABELS),
        "frame": sn.as_dataset(FRAME, LABELS),
        "parquet": sn.scan_parquet(tmp_path / "rows.parquet", target="y"),
        "npy": sn.scan_npy(tmp_path / "rows.npy", target=LABELS),
        "torch": sn.as_dataset(TensorDataset(torch.from_numpy(ROWS), torch.from_numpy(LABELS))),
        "memmap": sn.as_dataset(np.load(tmp_path / "rows.npy", mmap_mode="r"), LABELS),
        "sparse": sn.as_dataset(sp.csr_array(ROWS), LABELS),
    }


@pytest.mark.parametrize("name", ["array", "frame", "parquet", "npy", "torch", "memmap", "sparse"])
def test_rows_columns_labels_weights_and_functions_count(name, tmp_path):
    ds, again = views(tmp_path)[name], views(tmp_path)[name]
    assert fingerprint_of_rows(ds) == fingerprint_of_rows(ds)
    if name not in ("parquet", "npy", "memmap"):  # files that were written again are others
        assert fingerprint_of_rows(ds) == fingerprint_of_rows(again)
    others = [
        ds,
        ds[1:],
        ds[[0, 1, 2]],
        ds[[0, 2, 1]],
        ds[:, [0, 1]],
        ds[:, [1, 0]],
        ds.with_target(LABELS[::-1]),
        ds.with_weight(np.ones(6)),
        ds.with_weight(np.arange(6.0)),
        ds.map(moved),
        ds.map_batches(moved),
        ds.map(plus(1)),
    ]
    hashes = [fingerprint_of_rows(other) for other in others]
    assert len(set(hashes)) == len(hashes)


def test_rows_in_memory_count_by_their_numbers():
    assert fingerprint_of_rows(sn.as_dataset(ROWS)[1:3]) == fingerprint_of_rows(
        sn.as_dataset(ROWS[1:3].copy())
    )
    changed = ROWS.copy()
    changed[5, 3] += 1
    assert fingerprint_of_rows(sn.as_dataset(ROWS)) != fingerprint_of_rows(sn.as_dataset(changed))


def test_files_count_by_size_and_time(tmp_path):
    path = tmp_path / "rows.parquet"
    FRAME.to_parquet(path)
    before = sn.scan_parquet(path)
    same_file = sn.scan_parquet(str(tmp_path / ".." / tmp_path.name / "rows.parquet"))
    assert fingerprint_of_rows(before) == fingerprint_of_rows(same_file)
    before.read([0])
    assert fingerprint_of_rows(before) == fingerprint_of_rows(same_file)
    FRAME.assign(a=1).to_parquet(path)
    assert fingerprint_of_rows(before) != fingerprint_of_rows(sn.scan_parquet(path))


def test_a_file_counts_by_its_content_not_by_links_and_permissions(tmp_path):
    path, other = tmp_path / "rows.npy", tmp_path / "other.npy"
    for file, X in ((path, ROWS), (other, ROWS + 1)):
        np.save(file, X)
        os.utime(file, (0, 0))
    before = fingerprint_of_rows(sn.scan_npy(path))
    path.chmod(0o600)
    os.link(path, tmp_path / "link.npy")
    shutil.copy2(path, tmp_path / "copy.npy")
    (tmp_path / "copy.npy").replace(path)
    assert fingerprint_of_rows(sn.scan_npy(path)) == before
    other.replace(path)  # of the same size and time
    assert fingerprint_of_rows(sn.scan_npy(path)) != before


def test_a_read_only_map_in_a_temporary_file_counts_by_its_numbers(tmp_path):
    hashes = set()
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", ROWS)
        X = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        hashes.add(fingerprint_of_rows(sn.as_dataset(X, LABELS)))
    assert hashes == {fingerprint_of_rows(sn.as_dataset(ROWS.copy(), LABELS))}


class Stored(Dataset):
    """Rows in a file whose path, or folder, the state holds."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name

    def __len__(self):
        return 100

    def __getitem__(self, i):
        return torch.from_numpy(np.load(Path(self.folder) / self.name)[i]), i % 2


@pytest.mark.parametrize("parts", [("", "{}/rows.npy"), ("{}", "rows.npy")])
def test_a_torch_dataset_counts_by_the_files_it_names_and_by_items(tmp_path, parts):
    X = np.arange(200.0).reshape(100, 2)
    np.save(tmp_path / "rows.npy", X)

    def found():
        return fingerprint_of_rows(sn.as_dataset(Stored(*(p.format(tmp_path) for p in parts))))

    before = found()
    assert found() == before
    np.save(tmp_path / "rows.npy", X[::-1])
    assert found() != before


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_rows_of_a_map_that_is_written_to_count_by_their_numbers(tmp_path, mode):
    np.save(tmp_path / "rows.npy", ROWS)
    X = np.load(tmp_path / "rows.npy", mmap_mode=mode)
    before = fingerprint_of_rows(sn.as_dataset(X, LABELS))
    assert before == fingerprint_of_rows(sn.as_dataset(X, LABELS))
    X[0, 0] = 17.0
    assert before != fingerprint_of_rows(sn.as_dataset(X, LABELS))


def test_text_and_dates_in_memory_count_by_their_values():
    frame = pd.DataFrame({"a": ["x", None, "y"], "when": pd.to_datetime(["2020-01-01"] * 3)})
    kinds = [frame, frame.assign(a=frame["a"].astype("category")), frame.iloc[::-1].iloc[::-1]]
    others = [
        frame.assign(a=["x", "", "y"]),
        frame.assign(a=["xy", None, ""]),
        frame.assign(when=frame["when"] + pd.Timedelta("1s")),
        frame.iloc[::-1],
    ]
    same = {fingerprint_of_rows(sn.as_dataset(f).select(["a", "when"])) for f in kinds}
    assert len(same) == 1
    assert len(same | {fingerprint_of_rows(sn.as_dataset(f)) for f in others}) == 5
    assert fingerprint_of_rows(sn.as_dataset(frame)[[2, 1, 0]]) == fingerprint_of_rows(
        sn.as_dataset(others[-1])
    )
