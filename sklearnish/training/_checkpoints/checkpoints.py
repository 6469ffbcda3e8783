"""Checkpoints: an interrupted fit goes on from where it was, bit for bit.

    state_dict -> tree -> write -> file -> read -> load_state_dict

A file holds the tensors of a tree and, as one more tensor, the rest of it as JSON; nothing in it
is ever run.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from sklearnish.data import Batch, EpochTimes, PipelineReport, one_maker, remove_leftovers, warn
from sklearnish.training._checkpoints.tree_file import (
    DamagedError,
    Tree,
    from_bytes,
    read,
    to_bytes,
    write,
)
from sklearnish.training._world import World

INTERVAL = 30.0
"""Seconds between two checkpoints within an epoch."""

SHARE = 0.01
"""Share of the time that writing checkpoints may take, those at ends of epochs included."""

KEPT = 2
"""Files that are kept: should the last be damaged, there is the one before."""

_SUFFIX = ".safetensors"

State = Callable[..., Tree]
"""Returns the state of a fit; with batches=n, after n batches of an epoch."""


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
        self._warned = False

    def __enter__(self) -> "Checkpoints":
        """Wait until no other process does the same fit, and find its last checkpoint."""
        if self.folder is None:
            return self
        waiting = (
            f"Another process is doing the same fit, in {self.folder}. This one waits for it, "
            "then resumes from its last checkpoint."
        )
        with ExitStack() as stack:
            stack.enter_context(one_maker(self.folder / "fit", waiting))
            remove_leftovers(self.folder)
            self._found = self._last()
            self._others_wait = stack.pop_all()
        self._note_found()
        self._since = time.perf_counter()
        return self

    def _note_found(self) -> None:
        """Note how much was done before."""
        if self._found is not None:
            self.known, self.finished = self._found["known"], self._found["report"] is not None
            self.epochs = len(self._found["history"]) - self._past
            self.batches = self._found["batches"]

    def share(self, world: World) -> None:
        """Hand what the first process found to the others of its fit."""
        sent = world.same_bytes(b"" if self._found is None else to_bytes(self._found))
        if sent and not world.is_first:
            self._found = from_bytes(sent)
            self._note_found()

    def __exit__(self, *error: object) -> None:
        """Let others in."""
        self._found = None
        if self.folder is not None:
            self._others_wait.close()

    def _last(self) -> Tree | None:
        """Read the newest file that is whole."""
        for path in reversed(self._files()):
            try:
                return read(path)
            except DamagedError as error:
                warn(
                    f"The checkpoint {path} is damaged ({error}) and is removed; the fit resumes "
                    "from the one before, or starts again.",
                    UserWarning,
                )
                path.unlink()
        return None

    def _files(self) -> list[Path]:
        """List the checkpoints, oldest first."""
        assert self.folder is not None
        return sorted(self.folder.glob(f"[0-9]*{_SUFFIX}"))

    # Going on

    def take(self) -> Tree | None:
        """Hand over the state that was found, once: it is as large as the net and its optimizer."""
        found, self._found = self._found, None
        return found

    def take_finished(self) -> tuple[Tree, PipelineReport]:
        """Hand over the state in which the fit ended, and its report."""
        found = self.take()
        assert found is not None
        report = dict(found["report"])
        report["epochs"] = tuple(EpochTimes(**times) for times in report["epochs"])
        return found, PipelineReport(**report)

    # Saving

    def watch(
        self, batches: Iterable[Batch], state: State, is_whole: Callable[[], bool] = lambda: True
    ) -> Iterable[Batch]:
        """Return the batches of one epoch; between them, the fit is saved from time to time.

        `is_whole` tells whether the state is all there is, and nothing waits in other processes.
        """
        return batches if self.folder is None else self._watched(batches, state, is_whole)

    def _watched(
        self, batches: Iterable[Batch], state: State, is_whole: Callable[[], bool]
    ) -> Iterator[Batch]:
        """Save before a batch, never after the last: there is always one to go on with."""
        first, self.batches = self.batches, 0  # of later epochs, none is done before
        for number, batch in enumerate(batches, first):
            if number and self._is_due(INTERVAL) and is_whole():
                self._save(state(batches=number), number)
            yield batch

    def end_epoch(self, state: State) -> None:
        """Save at the end of an epoch, unless epochs are so short that it would take long."""
        if self.folder is not None and self._is_due(0.0):
            self._save(state())

    def finish(self, state: State, report: PipelineReport) -> None:
        """Save what the fit left."""
        if self.folder is not None:
            self._save(state(), report=asdict(report))

    def forget(self) -> None:
        """Remove what is there: the fit was ended by what says nothing of another one."""
        for path in self._files() if self.folder is not None else []:
            path.unlink()

    def _is_due(self, interval: float) -> bool:
        """Tell whether enough time went by since the last one, also for what it took."""
        return time.perf_counter() - self._since >= max(interval, self._cost / SHARE)

    def _save(self, state: Tree, batches: int = 0, report: Tree | None = None) -> None:
        """Write a file; a disk that is full or fails does not end the fit."""
        begun = time.perf_counter()
        try:
            self._add({**state, "batches": batches, "report": report, "known": self.known})
        except OSError as error:
            self._warn(error)
        self._since = time.perf_counter()
        self._cost = self._since - begun

    def _add(self, tree: Tree) -> None:
        """Write a file, and remove those that are too many."""
        files = self._files()
        number = int(files[-1].stem) + 1 if files else 1
        assert self.folder is not None
        write(tree, self.folder / f"{number:08}{_SUFFIX}")
        for path in self._files()[:-KEPT]:
            path.unlink()

    def _warn(self, error: OSError) -> None:
        """Say once that the fit goes on without: hours of it are worth more than a checkpoint."""
        if not self._warned:
            warn(
                f"A checkpoint could not be written ({error}). The fit continues, earlier "
                "checkpoints stay, and writing is tried again later. Free some space; otherwise "
                "the fit can only be resumed from the last checkpoint.",
                UserWarning,
            )
        self._warned = True
