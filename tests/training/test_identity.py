import functools
import re
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from torch import nn
from torch.utils.data import TensorDataset

import sklearnish as sn
from sklearnish.training import fingerprint, fingerprint_of_rows


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


SCRIPT = """
import numpy as np, torch
from torch import nn
from sklearnish.training import fingerprint, fingerprint_of_rows
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
            env={"PYTHONHASHSEED": seed, "PATH": "", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.append(done.stdout.split())
    assert hashes[0] == hashes[1]  # whatever the order of sets, and the line numbers
    assert hashes[0][0] != hashes[2][0]  # a class of the script itself that was changed
    assert hashes[0][1] == hashes[2][1]


GLOBALS = """
import abc, enum, functools, torch
from torch import nn
SCALE = {scale}
class Kind(enum.Enum):
    A = {kind}
def helper(x):
    return cached(x) * {helper}
@functools.lru_cache
def cached(x):
    return {cached}
class Part(nn.Linear):
    factor = {part}
class Module(nn.Module, abc.ABC):
    scale = {attribute}
    def __init__(self):
        super().__init__()
        self.part = Part(1, 1)
    def forward(self, X):
        return self.static(X) * self.double * self.again * self.made(Kind.A)
    @staticmethod
    def static(X):
        return X * {static}
    @classmethod
    def made(cls, kind):
        return {method}
    @property
    def double(self):
        return {double}
    @functools.cached_property
    def again(self):
        return {again}
def augment(x):
    return (lambda: helper(x) * SCALE * SCALE.real)()
class Callable:
    power = {power}
    def __call__(self, x):
        return x ** self.power
"""


def of_a_script(**changed):
    names = re.findall("{(.*?)}", GLOBALS)
    known = {"__name__": "__main__"}
    exec(GLOBALS.format(**dict.fromkeys(names, 1) | changed), known)
    return [known["augment"], known["Module"], known["Callable"]()]


@pytest.mark.parametrize(
    ("changed", "differing"),
    [
        ("scale", [0]),
        ("helper", [0]),
        ("cached", [0]),
        ("kind", [1]),
        ("part", [1]),
        ("attribute", [1]),
        ("static", [1]),
        ("method", [1]),
        ("double", [1]),
        ("again", [1]),
        ("power", [2]),
    ],
)
def test_what_code_of_the_script_reads_counts(changed, differing):
    first, same = of_a_script(), of_a_script()
    other = of_a_script(**{changed: 2})
    assert [fingerprint(f) for f in first] == [fingerprint(f) for f in same]
    found = [i for i in range(3) if fingerprint(first[i]) != fingerprint(other[i])]
    assert found == differing


def test_what_cannot_be_told_from_another_is_refused():
    with pytest.raises(TypeError, match="lock cannot be told from another"):
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
