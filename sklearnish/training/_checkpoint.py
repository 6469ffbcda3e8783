"""Checkpoints: an interrupted fit goes on from where it was, bit for bit.

    net, early stopping, generators -> capture -> tree -> write -> file -> read -> restore

A *tree* is nested dicts, lists and tuples of plain values and tensors. A file holds its tensors
and, as one more tensor, the rest of it as JSON; nothing in it is ever run.
"""

import hashlib
import json
import random
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sklearnish.data._batch import Batch
from sklearnish.data._files import atomic_path
from sklearnish.data._randomness import _device_generator
from sklearnish.data._report import EpochTimes, PipelineReport
from sklearnish.training._identity import as_bytes
from sklearnish.training._record import EpochLoss
from sklearnish.training._stopping import EarlyStopping

if TYPE_CHECKING:
    from sklearnish.training._net import Net

Tree = dict[str, Any]

INTERVAL = 30.0
"""Seconds between two checkpoints within an epoch."""

SHARE = 0.01
"""Share of the time that writing checkpoints may take, those at ends of epochs included."""

KEPT = 2
"""Files that are kept: should the last be damaged, there is the one before."""

PATIENCE = 10.0
"""Seconds after which waiting for another process is worth a warning."""

_SUFFIX = ".safetensors"


class Checkpoints:
    """The checkpoints of one fit, in a folder of their own; a context that locks it.

    Parameters
    ----------
    folder : Path or None
        Where they are; it is made. None for a fit without.
    past : int, default=0
        Epochs of earlier fits that this one goes on from.

    Attributes
    ----------
    known : dict
        What building the net asks of the rows; kept, so that none is read to build it again.
    finished : bool
        Whether the fit was done to its end.
    epochs, batches : int
        Complete epochs so far, and batches of the next one.
    """

    def __init__(self, folder: Path | None, past: int = 0) -> None:
        self.folder = folder
        self.known: Tree = {}
        self.finished = False
        self.epochs = self.batches = 0
        self._past = past
        self._found: Tree | None = None
        self._cost = self._since = 0.0

    def __enter__(self) -> "Checkpoints":
        """Wait until no other process does the same fit, and find its last checkpoint."""
        if self.folder is None:
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.folder)
        try:
            for part in self.folder.glob(".*.part"):  # of a process that was killed
                part.unlink()
            self._found = self._last()
        except BaseException:
            self._lock.release()
            raise
        if self._found is not None:
            self.known, self.finished = self._found["known"], self._found["report"] is not None
            self.epochs = len(self._found["history"]) - self._past
            self.batches = self._found["batches"]
        self._since = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        """Let others in."""
        self._found = None
        if self.folder is not None:
            self._lock.release()

    def _last(self) -> Tree | None:
        """Read the newest file that is whole."""
        for path in reversed(self._files()):
            try:
                return read(path)
            except DamagedError as error:
                warnings.warn(
                    f"The checkpoint {path} is damaged ({error}) and is removed; the fit goes on "
                    "from the one before, or from its beginning.",
                    UserWarning,
                    stacklevel=2,
                )
                path.unlink()
        return None

    def _files(self) -> list[Path]:
        """List the checkpoints, oldest first."""
        assert self.folder is not None
        return sorted(self.folder.glob(f"[0-9]*{_SUFFIX}"))

    # Going on

    def restore(self, net: "Net", stopping: EarlyStopping | None = None) -> None:
        """Put a net, the stopping rule and the generators into the state that was found."""
        if self._found is not None:
            restore(net, stopping, self._found)
        self._found = None  # as large as the net and its optimizer

    def restore_finished(self, net: "Net") -> PipelineReport:
        """Put a net into the state in which the fit left it; return the report of the fit."""
        assert self._found is not None
        report = dict(self._found["report"])
        report["epochs"] = tuple(EpochTimes(**times) for times in report["epochs"])
        net.best_epoch_ = self._found["best_epoch"]
        self.restore(net)
        return PipelineReport(**report)

    # Saving

    def watch(
        self, batches: Iterable[Batch], net: "Net", stopping: EarlyStopping | None
    ) -> Iterable[Batch]:
        """Return the batches of one epoch; between them, the fit is saved from time to time."""
        return batches if self.folder is None else self._watched(batches, net, stopping)

    def _watched(
        self, batches: Iterable[Batch], net: "Net", stopping: EarlyStopping | None
    ) -> Iterator[Batch]:
        """Save before a batch, never after the last: there is always one to go on with."""
        first, self.batches = self.batches, 0  # of later epochs, none is done before
        for number, batch in enumerate(batches, first):
            if number and self._is_due(INTERVAL):
                self._save(capture(net, stopping, number))
            yield batch

    def end_epoch(self, net: "Net", stopping: EarlyStopping | None) -> None:
        """Save at the end of an epoch, unless epochs are so short that it would take long."""
        if self.folder is not None and self._is_due(0.0):
            self._save(capture(net, stopping, 0))

    def finish(self, net: "Net", report: PipelineReport) -> None:
        """Save what the fit left."""
        if self.folder is not None:
            done = {"report": asdict(report), "best_epoch": net.best_epoch_}
            self._save(capture(net, None, 0) | done)

    def _is_due(self, interval: float) -> bool:
        """Tell whether enough time went by since the last one, also for what it took."""
        return time.perf_counter() - self._since >= max(interval, self._cost / SHARE)

    def _save(self, tree: Tree) -> None:
        """Write a file, and remove those that are too many."""
        assert self.folder is not None
        begun = time.perf_counter()
        files = self._files()
        number = int(files[-1].stem) + 1 if files else 1
        write(tree | {"known": self.known}, self.folder / f"{number:08}{_SUFFIX}")
        for path in self._files()[:-KEPT]:
            path.unlink()
        self._since = time.perf_counter()
        self._cost = self._since - begun


def _locked(folder: Path) -> Any:
    """Lock a folder; if another process has it, wait until that one is done, or dead."""
    import filelock

    lock = filelock.FileLock(folder / "lock")
    try:
        lock.acquire(timeout=PATIENCE)
    except filelock.Timeout:
        warnings.warn(
            f"Another process does this very fit (it holds {folder / 'lock'}). This one waits for "
            "it, and then takes over what it reached.",
            UserWarning,
            stacklevel=2,
        )
        lock.acquire()
    return lock


# The state of a fit


def capture(net: "Net", stopping: EarlyStopping | None, batches: int) -> Tree:
    """Collect all that the rest of a fit depends on, after so many batches of an epoch."""
    history = net.history[:-1] if batches else list(net.history)
    if batches:
        net.losses_.check(net.descent_.lr)  # weights that became NaN are not worth keeping
    return {
        "batches": batches,
        "history": [{k: v for k, v in epoch.items() if k != "batches"} for epoch in history],
        "module": net.module_.state_dict(),
        "criterion": net.criterion_.state_dict(),
        "descent": net.descent_.state_dict(),
        "losses": net.losses_.state_dict() if batches else None,
        "compiled": None if net.compiled_ is None else net.compiled_.state_dict(),
        "stopping": None if stopping is None else stopping.state_dict(),
        "generators": _generators(torch.device(net.device)),
        "report": None,
    }


def copied(tree: Any) -> Any:
    """Copy a tree, its tensors into the memory of the host: training overwrites them."""
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, dict):
        return {name: copied(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(copied(value) for value in tree)
    return tree


def restore(net: "Net", stopping: EarlyStopping | None, tree: Tree) -> None:
    """Put a net, the stopping rule and the generators into such a state."""
    device = torch.device(net.device)
    net.history[:] = [{"batches": [], **epoch} for epoch in tree["history"]]
    net.module_.load_state_dict(tree["module"])
    net.criterion_.load_state_dict(tree["criterion"])
    net.descent_.load_state_dict(net.lr_schedule, tree["descent"])
    if tree["losses"] is not None:
        net.begun_ = EpochLoss("training", len(net.history) + 1)
        net.begun_.load_state_dict(tree["losses"], device)
    if net.compiled_ is not None:
        net.compiled_.load_state_dict(tree["compiled"])
    if stopping is not None:
        stopping.load_state_dict(tree["stopping"], device)
    _set_generators(tree["generators"], device)


def _generators(device: torch.device) -> Tree:
    """Return the states of the global generators, that of the device included."""
    own = _device_generator(device)
    return {
        "torch": torch.default_generator.get_state(),
        "device": None if own is None else own.get_state(),
        "type": device.type,
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 - a module may draw from it
        "python": random.getstate(),
    }


def _set_generators(states: Tree, device: torch.device) -> None:
    """Set the states of the global generators; those of another kind of device mean nothing."""
    torch.default_generator.set_state(states["torch"])
    own = _device_generator(device)
    if own is not None and states["type"] == device.type:
        own.set_state(states["device"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    random.setstate(states["python"])


# Files


class DamagedError(ValueError):
    """A file is not what was written."""


def write(tree: Tree, path: Path) -> None:
    """Write a tree to a file, which appears when it is complete."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    text = json.dumps(_packed(tree, tensors, "")).encode()
    tensors["tree"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"hash": _hash(tensors)})


def read(path: Path) -> Tree:
    """Read a tree.

    Raises
    ------
    DamagedError
        If the file is not, bit for bit, what was written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            # Copied out of the file, which may be removed while they are in use.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            wanted = (file.metadata() or {}).get("hash")
    except (SafetensorError, AttributeError, LookupError, RuntimeError, ValueError) as error:
        raise DamagedError(str(error)) from error
    if _hash(tensors) != wanted:
        raise DamagedError("its content does not have the hash that is noted in it")
    tree: Tree = _unpacked(json.loads(bytes(as_bytes(tensors["tree"]))), tensors)
    return tree


def _hash(tensors: dict[str, Tensor]) -> str:
    """Hash names, types, shapes and numbers."""
    digest = hashlib.blake2b(digest_size=32)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}:".encode())
        digest.update(as_bytes(tensor))  # type: ignore[arg-type]
    return digest.hexdigest()


_KINDS: dict[str, Any] = {
    "tuple": tuple,
    "dict": dict,
    "counter": lambda pairs: Counter(dict(pairs)),
}


def _packed(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    """Turn a tree into what JSON can hold; tensors go where they are collected."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        return {"array": _packed(torch.from_numpy(value.copy()), tensors, name)}
    if isinstance(value, Tensor) and value.layout is torch.strided:
        return _stored(value, tensors, f"{len(tensors)}{name}")
    if isinstance(value, list | tuple):
        items = [_packed(item, tensors, f"{name}.{i}") for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict):
        pairs = [[k, _packed(v, tensors, f"{name}.{k}")] for k, v in value.items()]
        return {"counter" if isinstance(value, Counter) else "dict": pairs}
    raise TypeError(
        f"{name.removeprefix('.')} is a {type(value).__qualname__}, which a checkpoint cannot "
        "hold: only numbers, text, tensors, and lists and dicts of them. Leave "
        "checkpoint_dir=None, or keep something else in the state of module, optimizer or schedule."
    )


def _stored(tensor: Tensor, tensors: dict[str, Tensor], name: str) -> Tree:
    """Copy a tensor to the others; its strides matter to fused optimizers."""
    copied = tensor.detach().to("cpu", copy=True)
    tensors[name] = copied.contiguous()
    stride = {} if copied.is_contiguous() else {"stride": copied.stride()}
    return {"tensor": name, **stride}


def _unpacked(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Undo it."""
    if isinstance(value, list):
        return [_unpacked(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        tensor = tensors[value["tensor"]]
        if "stride" not in value:
            return tensor
        return torch.empty_strided(tensor.shape, value["stride"], dtype=tensor.dtype).copy_(tensor)
    if "array" in value:
        return _unpacked(value["array"], tensors).numpy()
    ((kind, items),) = value.items()
    return _KINDS[kind](_unpacked(items, tensors))
