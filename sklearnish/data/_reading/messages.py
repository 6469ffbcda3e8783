"""Objects sent to another process: a file without a name, whose descriptor goes over a socket.

The file lies in memory. The sender copies each tensor and array into it, once, and the receiver
maps it. Only a header of 16 bytes and the descriptor go over the socket, so a message arrives whole
or not at all, whenever a process dies. The system frees the file as soon as nobody uses it.
"""

import errno
import io
import math
import os
import pickle
import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearnish.data._system.machine import told

_HEADER = struct.Struct("=QQ")
"""Where in the file the pickled object begins and ends; its numbers come before it."""

_ALIGNED = 64
"""Bytes to whose multiples numbers are aligned, as wide instructions like it."""

_FOLDER = "/dev/shm"
"""Where the file lies if the system cannot make one without a folder, as Linux can."""

_MANY = 2**62
"""Bytes where no limit is known."""


class Parcel(NamedTuple):
    """Where an object lies.

    Attributes
    ----------
    path : str
        The file.
    start, stop : int
        Where in it the pickled object begins and ends.
    """

    path: str
    start: int
    stop: int


_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def send(link: socket.socket, item: Any) -> None:
    """Send an object.

    Raises
    ------
    OSError
        If there is no memory for it, or nobody at the other end.
    """
    file = _new_file()
    try:
        start, stop = _fill(file, item, _Pickler)
        socket.send_fds(link, [_HEADER.pack(start, stop)], [file])
    finally:
        os.close(file)


def receive(link: socket.socket) -> Any:
    """Receive an object; its numbers stay where the sender put them.

    Raises
    ------
    EOFError
        If nobody is at the other end any more.
    OSError
        If this process may open no more files.
    """
    try:
        header, files, *_ = socket.recv_fds(link, _HEADER.size, 1, _CLOSE_ON_EXEC)
    except ConnectionResetError:
        header, files = b"", []
    try:
        if len(header) < _HEADER.size:
            raise EOFError("the other process has closed its end of the connection")
        if not files:  # the system leaves out a descriptor that there is no place for
            raise OSError(
                errno.EMFILE,
                "This process has too many open files to receive rows from its workers. Allow more "
                "(ulimit -n 4096), close some, or read with num_workers=0",
            )
        return _load(f"/dev/fd/{files[0]}", *_HEADER.unpack(header), shared=True)
    finally:
        for file in files:
            os.close(file)


@contextmanager
def parcel(item: Any, pickler: type[pickle.Pickler]) -> Iterator[Parcel]:
    """Pack an object once, for any number of processes, as long as the context lasts.

    It lies in a file without a name, of which nothing is left if this process is killed; on
    systems that have no such files, in one that is removed.

    Parameters
    ----------
    item : object
        What is packed.
    pickler : type
        How: it leaves out the numbers of tensors by `without_numbers`.

    Yields
    ------
    Parcel
        What `unpacked` takes in any process of this machine.

    Raises
    ------
    OSError
        If there is no memory for it.
    """
    if Path(f"/proc/{os.getpid()}/fd").is_dir():
        file = _new_file()
        try:
            yield Parcel(f"/proc/{os.getpid()}/fd/{file}", *_fill(file, item, pickler))
        finally:
            os.close(file)
    else:
        with tempfile.NamedTemporaryFile(dir=_folder()) as named:
            yield Parcel(named.name, *_fill(named.fileno(), item, pickler))


def unpacked(parcel: Parcel) -> Any:
    """Build what is in a parcel; its numbers are shared until somebody changes them."""
    return _load(*parcel, shared=False)


def room() -> int:
    """Bytes that messages may take: memory, caches that the system gives up, or their folder."""
    if _has_unnamed_files():
        free = told("meminfo").get("MemAvailable", f"{_MANY} kB")
        return min(1024 * int(free.split()[0]), _free_in_container())
    return shutil.disk_usage(_folder()).free


def place() -> str:
    """Name where messages lie."""
    return "memory" if _has_unnamed_files() else _folder()


def _folder() -> str:
    """Name the folder of files that need one: in memory, if there is such a folder."""
    return _FOLDER if Path(_FOLDER).is_dir() else tempfile.gettempdir()


class _Pickler(pickle.Pickler):
    """Leaves the numbers of tensors out, as NumPy does with those of arrays."""

    def reducer_override(self, obj: Any) -> Any:
        """Take a tensor apart."""
        return without_numbers(obj)


def without_numbers(obj: Any) -> Any:
    """Take a tensor apart; those that are no plain numbers in memory are pickled as usual.

    Arrays with gaps are closed: NumPy would copy their numbers into the pickle.
    """
    if type(obj) is np.ndarray and not (obj.flags.forc or obj.dtype.hasobject):
        return np.ascontiguousarray(obj).__reduce_ex__(5)
    if type(obj) is not Tensor or not _is_plain(obj):
        return NotImplemented
    flat: Any = obj.contiguous().reshape(-1).view(torch.uint8).numpy()
    return _tensor, (pickle.PickleBuffer(flat), obj.dtype, tuple(obj.shape))


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether the bytes of a tensor are all there is to it."""
    lazy = tensor.requires_grad or tensor.is_conj() or tensor.is_neg() or tensor.is_quantized
    dense = tensor.device.type == "cpu" and tensor.layout is torch.strided
    return dense and not lazy and tensor.numel() > 0


def _tensor(data: memoryview, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Put a tensor together."""
    return torch.frombuffer(data, dtype=dtype, count=math.prod(shape)).view(shape)


def _fill(file: int, item: Any, pickler: type[pickle.Pickler]) -> tuple[int, int]:
    """Write an object to a file; return where its pickle begins and ends."""
    parts: list[pickle.PickleBuffer] = []
    pickled = io.BytesIO()
    pickler(pickled, 5, buffer_callback=parts.append).dump(item)
    raw, end = [part.raw() for part in parts], 0
    for part in raw:
        _write(file, part, end)
        end += -(-len(part) // _ALIGNED) * _ALIGNED
    whole = memoryview(pickle.dumps((pickled.getvalue(), [len(part) for part in raw])))
    _write(file, whole, end)
    return end, end + len(whole)


def _load(path: str, start: int, stop: int, *, shared: bool) -> Any:
    """Map a file and build the object in it; no descriptor is kept, however long it lives."""
    mapped = torch.from_file(path, shared=shared, size=stop, dtype=torch.uint8)
    array: Any = mapped.numpy()
    whole = memoryview(array)
    pickled, sizes = pickle.loads(whole[start:stop])
    parts, end = [], 0
    for size in sizes:
        parts.append(whole[end : end + size])
        end += -(-size // _ALIGNED) * _ALIGNED
    return pickle.loads(pickled, buffers=parts)


def _has_unnamed_files() -> bool:
    """Tell whether the system makes files in memory that lie in no folder, and lets us."""
    try:
        os.close(os.memfd_create("sklearnish"))
    except (AttributeError, OSError):  # another system, or a sandbox
        return False
    return True


def _new_file() -> int:
    """Open a file in memory that has no name; return its descriptor."""
    try:
        return os.memfd_create("sklearnish")
    except (AttributeError, OSError):
        with tempfile.TemporaryFile(dir=_folder()) as file:
            return os.dup(file.fileno())


def _write(file: int, data: memoryview, start: int) -> None:
    """Write all bytes at a place of the file."""
    done = 0
    while done < len(data):
        try:
            done += os.pwrite(file, data[done:], start + done)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise OSError(
                error.errno,
                f"There is no room for {(start + len(data)) / 2**20:.0f} MB of rows in "
                f"{_folder()}, through which worker processes send them. Make it larger (docker "
                "run --shm-size=1g), lower shuffle_memory, or read with num_workers=0",
            ) from error


def _free_in_container() -> int:
    """Read what the container has; many if it has no limit."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
        counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(counts["file"]) - int(counts["shmem"]))
    except (OSError, ValueError, KeyError):
        return _MANY
