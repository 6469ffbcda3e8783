import random
import threading
from collections import Counter, OrderedDict
from pathlib import Path

import filelock
import numpy as np
import pytest
import torch

from sklearnish.training import _checkpoint
from sklearnish.training._checkpoint import Checkpoints, DamagedError, read, write


def same(a, b):
    """Compare trees, types and strides included."""
    if isinstance(a, dict):
        kind = Counter if isinstance(a, Counter) else dict
        assert isinstance(b, kind)
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


def tree(number):
    return {"history": [{}] * number, "batches": number, "report": None}


def save(folder, *numbers):
    with Checkpoints(folder) as checkpoints:
        for number in numbers:
            checkpoints._save(tree(number))


def found(folder):
    with Checkpoints(folder) as checkpoints:
        return checkpoints.batches


def files(folder):
    return sorted(folder.glob("*.safetensors"))


def test_the_last_two_are_kept(tmp_path):
    assert found(tmp_path / "new") == 0
    save(tmp_path, 1, 2, 3)
    assert len(files(tmp_path)) == 2
    assert found(tmp_path) == 3
    save(tmp_path, 4)
    assert len(files(tmp_path)) == 2
    assert found(tmp_path) == 4


def test_a_damaged_one_is_reported_and_the_one_before_used(tmp_path):
    save(tmp_path, 1, 2)
    last = files(tmp_path)[-1]
    last.write_bytes(last.read_bytes()[:-3])
    with pytest.warns(UserWarning, match=f"{last.name} is damaged"):
        assert found(tmp_path) == 1
    assert found(tmp_path) == 1
    for path in files(tmp_path):
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="is damaged"):
        assert found(tmp_path) == 0


def test_what_a_killed_process_left_is_removed(tmp_path):
    save(tmp_path, 1)
    (tmp_path / ".00000002.safetensors.abc.part").write_bytes(b"half")
    assert found(tmp_path) == 1
    assert not list(tmp_path.glob(".*.part"))


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path, monkeypatch):
    save(tmp_path, 1)
    path = files(tmp_path)[-1]
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match=r"."):
        found(tmp_path)
    assert path.exists()


def test_the_second_waits_for_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(_checkpoint, "PATIENCE", 0.05)
    save(tmp_path, 1)
    other = filelock.FileLock(tmp_path / "lock")
    other.acquire()
    seen = []

    def second():
        with pytest.warns(UserWarning, match="Another process does this very fit"):
            seen.append(found(tmp_path))

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    assert seen == []
    other.release()
    thread.join(60)
    assert seen == [1]


def test_the_lock_is_free_after_an_error(tmp_path):
    def fail():
        with Checkpoints(tmp_path):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    filelock.FileLock(tmp_path / "lock").acquire(timeout=0)


class Clock:
    """Time that passes only when it is told to."""

    now = 100.0

    def perf_counter(self):
        return self.now


def test_writing_takes_at_most_its_share_of_the_time(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_checkpoint, "time", clock)
    monkeypatch.setattr(_checkpoint, "write", lambda *_: setattr(clock, "now", clock.now + 2))
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints._is_due(0)  # the first end of an epoch
        assert not checkpoints._is_due(30)
        clock.now += 30
        assert checkpoints._is_due(30)
        checkpoints._save({})
        clock.now += 199
        assert not checkpoints._is_due(0)
        assert not checkpoints._is_due(30)
        clock.now += 1
        assert checkpoints._is_due(0)
        assert checkpoints._is_due(30)


def test_without_a_folder_nothing_is_done():
    batches = [1, 2]
    with Checkpoints(None) as checkpoints:
        assert checkpoints.watch(batches, None, None) is batches
        checkpoints.end_epoch(None, None)
        checkpoints.restore(None)
        checkpoints.finish(None, None)
    assert not Path("None").exists()
