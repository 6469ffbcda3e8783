"""Values as JSON and tensors, and files of them: what goes in comes out."""

import errno
import json
import random
from collections import Counter, OrderedDict, defaultdict, namedtuple
from enum import IntEnum

import numpy as np
import pytest
import torch

from sklearnish.training._checkpoints.tree_file import DamagedError, Packer, Unpacker, read, write
from tests.training.full_disk import files_of_at_most


def same(a, b):
    """Compare trees, types and strides included."""
    if isinstance(a, dict):
        assert type(a) is type(b)
        assert list(a) == list(b)
        return all(same(a[k], b[k]) for k in a)
    assert type(a) is type(b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.stride() == b.stride() and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b or a != a != b


TREE = {
    "numbers": [1, 1.5, -0.0, 1e-320, float("inf"), float("nan"), 2**80, True, None],
    "text": 'a "b"\n\u00e9',
    "tuple": (0.9, 0.999),
    "by number": {0: {"step": torch.tensor(3.0)}, 1: {}},
    "counter": Counter({30: 2, 80: 1}),
    "ordered": OrderedDict(a=1),
    "keys": {(1, "a"): 1, None: 2, 1.5: 3, True: 4},
    "kinds": [
        torch.bfloat16,
        torch.device("cuda:1"),
        np.float32(0.1),
        np.str_("a"),
        np.bool_(True),
    ],
    "text array": np.array(["red", "green"]),
    "objects": np.array([None, "a", 1], dtype=object),
    "array": np.arange(3, dtype=np.uint32),
    "python": random.Random(0).getstate(),
    "empty": torch.empty(0, 3),
    "scalar": torch.tensor(7),
    "types": [torch.ones(3, 2).to(dtype) for dtype in (torch.bfloat16, torch.bool, torch.uint8)],
    "strided": torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
    "a.b": {"c": torch.ones(1)},
    "a": {"b.c": torch.zeros(2)},
}


def test_a_tree_comes_back_as_it_was(tmp_path):
    shared = torch.arange(6.0)
    tree = TREE | {"shared": [shared, shared, shared[2:], shared[::2]]}
    write(tree, tmp_path / "file")
    back = read(tmp_path / "file")
    tree["shared"][3] = tree["shared"][3].clone()
    assert same(tree, back)
    (tmp_path / "file").unlink()
    assert torch.equal(back["strided"], TREE["strided"])


@pytest.mark.parametrize("value", [object(), torch.eye(2).to_sparse(), {"a": [print]}, {1, 2}])
def test_what_cannot_be_held_is_named(tmp_path, value):
    with pytest.raises(TypeError, match=r"module\.thing.*which a checkpoint cannot hold"):
        write({"module": {"thing": value}}, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_any_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "file"
    write({"a": torch.arange(5.0), "b": [1, "two"], "c": torch.ones(2, dtype=torch.int64)}, path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            tree = read(path)
        except DamagedError:
            continue
        # Blanks that pad the header, or the name of a key in it that nothing depends on.
        assert torch.equal(tree["a"], torch.arange(5.0))
        assert tree["b"] == [1, "two"]


def test_a_file_cut_short_is_noticed(tmp_path):
    path = tmp_path / "file"
    write({"a": torch.arange(5.0)}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            read(path)


Point = namedtuple("Point", "x y")
Level = IntEnum("Level", "LOW HIGH")


def _again(value):
    packer = Packer()
    node = json.loads(json.dumps(packer.encode(value, ".value")))
    return Unpacker(packer.tensors).decode(node)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Point(1, [2]), (1, [2])),
        (Level.HIGH, 2),
        (defaultdict(list, {1: (2,)}), {1: (2,)}),
        (np.arange(3, dtype=">i2"), np.arange(3, dtype="i2")),
    ],
)
def test_a_class_of_its_own_comes_back_as_the_plain_kind(value, plain):
    assert same(plain, _again(value))


@pytest.mark.parametrize("axes", [(2, 0, 1), (0, 2, 1), (1, 0, 2)])
def test_axes_lie_as_they_did(axes):
    tensor = torch.arange(24.0).reshape(2, 3, 4).permute(axes)
    assert same(tensor, _again(tensor))
    assert same(tensor[:, 1:].clone(), _again(tensor[:, 1:]))


@pytest.mark.parametrize(
    "node", [{"tensor": "a"}, {"$tuple": [], "$dict": []}, {}, {"$code": "os:system"}]
)
def test_other_nodes_are_refused(node):
    with pytest.raises(ValueError, match="are of no kind that is ever written"):
        Unpacker({}).decode(node)


def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    with (
        pytest.raises(OSError, match="file could not be written") as caught,
        files_of_at_most(1000),
    ):
        write({"a": torch.ones(10_000)}, tmp_path / "file")
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []
