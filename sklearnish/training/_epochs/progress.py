"""The progress bar of a fit: rows per second and waiting while it runs, losses once an epoch."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sklearnish.data import Batch, with_own_lock

_PERIOD = 0.2
"""Seconds between two looks of the user at the bar."""


class Progress:
    """A bar over the rows of all epochs; silent, and out of the way, unless asked for.

    Parameters
    ----------
    epochs : int
        How many there will be at most.
    rows : int
        Rows of an epoch, 0 if that is not known.
    verbose : int
        Whether to show anything.
    wait : callable
        Returns how many seconds the current epoch has waited for data.
    processes : int, default=1
        How many processes have their parts of each batch.
    """

    def __init__(
        self,
        epochs: int,
        rows: int,
        verbose: int,
        wait: Callable[[], float],
        processes: int = 1,
    ) -> None:
        self._epochs, self._rows, self._wait = epochs, rows, wait
        self._processes = processes
        self._done, self._seen, self._losses = 0, 0, ""
        self._bar: Any = None
        if verbose:
            from tqdm.auto import tqdm

            self._bar = with_own_lock(tqdm)(
                total=epochs * rows or None,
                desc="fit",
                unit=" rows",
                unit_scale=True,
                mininterval=_PERIOD / 2,
                miniters=1,
            )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def watch(self, batches: Iterable[Batch]) -> Iterable[Batch]:
        """Return the batches of one epoch; a bar moves as they are used."""
        return batches if self._bar is None else self._watched(batches)

    def _watched(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Look at the clock once a batch, and at the bar a few times a second."""
        self._bar.set_description(f"epoch {self._done + 1}/{self._epochs}", refresh=False)
        begun = shown = time.perf_counter()
        rows = self._bar.n
        for batch in batches:
            yield batch
            rows += len(batch) * self._processes
            now = time.perf_counter()
            if now - shown >= _PERIOD:
                shown = now
                self._show(rows, now - begun)
        self._seen = rows

    def epoch(self, record: dict[str, Any]) -> None:
        """Show what an epoch gave."""
        if self._bar is None:
            return
        self._done += 1
        losses = (f"{k}={v:.4g}" for k, v in record.items() if k.endswith("_loss"))
        self._losses = ", ".join(["", *losses])
        self._show(self._done * self._rows or self._seen, record["dur"])

    def _show(self, rows: int, seconds: float) -> None:
        """Move the bar to a number of rows; `seconds` are those of the epoch so far."""
        share = self._wait() / max(seconds, 1e-9)
        self._bar.set_postfix_str(f"waited {share:.0%}{self._losses}", refresh=False)
        self._bar.update(rows - self._bar.n)
