import errno
import os
import pickle
import resource
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from sklearnish.data._reading import messages
from sklearnish.data._reading.messages import parcel, receive, send, unpacked


@pytest.fixture
def link():
    a, b = socket.socketpair()
    with a, b:
        yield a, b


def open_files():
    return psutil.Process().num_fds()


TENSORS = {
    "float32": torch.arange(12.0).view(3, 4),
    "bfloat16": torch.arange(4).to(torch.bfloat16),
    "bool": torch.tensor([True, False]),
    "complex": torch.tensor([1 + 2j]),
    "conjugate": torch.tensor([1 + 2j]).conj(),
    "number": torch.tensor(3),
    "empty": torch.empty(0, 5),
    "columns": torch.arange(12.0).view(3, 4)[:, ::2],
    "expanded": torch.ones(1).expand(5),
    "sparse": torch.eye(3).to_sparse(),
    "trained": torch.ones(2, requires_grad=True),
}


@pytest.mark.parametrize("kind", TENSORS)
@pytest.mark.parametrize("nameless", [True, False])
def test_tensors_arrive_as_they_are(link, monkeypatch, kind, nameless):
    if not nameless:  # as on other systems than Linux
        monkeypatch.delattr(os, "memfd_create")
    tensor = TENSORS[kind]
    send(link[0], (7, {"x": tensor}))
    number, got = receive(link[1])
    assert number == 7
    assert got["x"].dtype == tensor.dtype
    assert torch.equal(got["x"].to_dense(), tensor.to_dense())


@pytest.mark.parametrize("part", [np.s_[:, ::2], np.s_[::-1], np.s_[::3, 1]])
def test_arrays_with_gaps_are_not_copied_into_the_pickle(part):
    array = np.arange(10_000.0).reshape(100, 100)[part]
    with parcel({"x": array}, messages._Pickler) as job:
        pickled = job.stop - job.start
        again = unpacked(job)["x"]
    np.testing.assert_array_equal(again, array)
    assert pickled < 1000


def test_a_message_may_be_written_to_and_holds_no_descriptor(link):
    before = open_files()
    array, tensor = np.arange(5), torch.arange(1000)
    send(link[0], (array, tensor, "text", None))
    got = receive(link[1])
    got[0][0] = got[1][0] = 99
    assert got[2:] == ("text", None)
    assert array[0] == tensor[0] == 0
    assert got[0][1:].tolist() == [1, 2, 3, 4]
    assert open_files() == before


def test_what_cannot_be_sent_is_an_error_that_leaves_nothing(link):
    before = open_files()
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        send(link[0], (torch.ones(3), lambda: 0))
    assert open_files() == before


@pytest.mark.parametrize("sent", [b"", b"half a"])
def test_nobody_at_the_other_end(link, sent):
    link[0].send(sent)
    link[0].close()
    with pytest.raises(EOFError, match="closed"):
        receive(link[1])
    with pytest.raises(BrokenPipeError):
        send(link[1], None)


@pytest.mark.parametrize("free", [0, 1])
def test_no_descriptor_left(link, free, request):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    request.addfinalizer(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, before))
    send(link[0], torch.ones(3))
    os.close(lowest := os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, before[1]))
    with pytest.raises((OSError, RuntimeError), match=r"(?i)too many open files"):
        receive(link[1])


SMALL = """
import os, socket, torch
from sklearnish.data._reading import messages
del os.memfd_create
a, b = socket.socketpair()
assert messages.room() < 2**20, messages.room()
try:
    messages.send(a, torch.zeros(2**20))
except OSError as error:
    print(error.errno, error, os.listdir("/dev/shm"))
"""


def test_no_room_says_how_to_make_some():
    with (
        Path("/dev/full").open("wb") as full,
        pytest.raises(OSError, match="There is no room") as caught,
    ):
        messages._write(full.fileno(), memoryview(bytes(2**22)), 0)
    assert caught.value.errno == errno.ENOSPC
    assert "4 MB of rows in" in str(caught.value)
    assert "docker run --shm-size" in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid(), reason="only root may mount")
def test_a_full_folder_is_named_and_left_empty(tmp_path):
    (tmp_path / "script.py").write_text(SMALL)
    command = f"mount -t tmpfs -o size=512k tmpfs /dev/shm && exec {sys.executable} script.py"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"mounting a small /dev/shm is not permitted: {done.stderr}")
    assert done.stdout.startswith(f"{errno.ENOSPC} "), done.stderr
    assert "4 MB of rows in /dev/shm" in done.stdout
    assert "docker run --shm-size" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_room_is_what_the_place_has(monkeypatch, tmp_path):
    assert messages.place() == "memory"
    assert 2**20 < messages.room() < 2**50
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(messages, "_FOLDER", str(tmp_path))
    assert messages.place() == str(tmp_path)
    assert 0 < messages.room() < 2**60
