"""Reading fetches: here, in a thread that reads ahead, or in worker processes."""

import functools
import multiprocessing
import pickle
import time
import traceback
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader

from sklearnish.data._batch import Batch
from sklearnish.data._dataset import Dataset
from sklearnish.data._reading import attach
from sklearnish.data._samplers import Fetch
from sklearnish.data._tuning import LoadPlan


class Fetched(NamedTuple):
    """The rows of a fetch and the seconds it took to read them."""

    batch: Batch
    seconds: float


class Reader:
    """Reads a fetch; it travels to the workers.

    Labels and weights that are in memory stay in the process that trains: a worker reads only
    what is stored with the features.
    """

    def __init__(self, dataset: Dataset, augment: tuple[Any, ...], seed: int, finite: bool) -> None:
        self._whole = dataset
        self._dataset = dataset.without_attached()
        self._augment, self._seed = augment, seed
        self._finite = finite

    def __len__(self) -> int:
        """Count the rows, as a torch Dataset does."""
        return len(self._dataset)

    def __getitem__(self, fetch: Fetch) -> Fetched:
        """Read the rows of a fetch and apply the functions of rows."""
        begun = time.perf_counter()
        batch = self._dataset.read(
            fetch.positions,
            augment=self._augment,
            seed=self._seed,
            epoch=fetch.epoch,
            start=fetch.start,
            finite=self._finite,
        )
        return Fetched(batch, time.perf_counter() - begun)

    def complete(self, pair: tuple[Fetch, Fetched]) -> tuple[Fetch, Fetched]:
        """Add the labels and weights that are in memory."""
        fetch, (batch, seconds) = pair
        return fetch, Fetched(attach(self._whole, batch, fetch.positions), seconds)

    def __getstate__(self) -> dict[str, Any]:
        """Leave labels and weights at home."""
        return self.__dict__ | {"_whole": self._dataset}


def read_ahead(
    reader: Reader, fetches: Iterator[Fetch], plan: LoadPlan, timeout: float
) -> Iterator[tuple[Fetch, Fetched]]:
    """Read fetches in order, the next one or more while the caller works on the last.

    Parameters
    ----------
    reader : Reader
        Reads one fetch.
    fetches : iterator of Fetch
        Of all epochs.
    plan : LoadPlan
        Where to read.
    timeout : float
        Seconds to wait for a worker process.

    Yields
    ------
    (Fetch, Fetched)
        In the order of `fetches`. Closing the generator ends thread and workers.
    """
    if plan.mode == "inline":
        pairs: Iterator[tuple[Fetch, Fetched]] = ((f, reader[f]) for f in fetches)
    elif plan.mode == "thread":
        pairs = _in_thread(reader, fetches)
    else:
        pairs = _in_processes(reader, fetches, plan, timeout)
    try:
        # Through map, since a variable would keep a window alive while the next is read.
        yield from map(reader.complete, pairs)
    finally:
        pairs.close()  # type: ignore[attr-defined]


def _in_thread(reader: Reader, fetches: Iterator[Fetch]) -> Iterator[tuple[Fetch, Fetched]]:
    """Read one fetch ahead."""
    with ThreadPoolExecutor(1, "sklearnish-reader") as pool:
        ahead: deque[tuple[Fetch, Future[Fetched]]] = deque()
        try:
            for fetch in fetches:
                ahead.append((fetch, pool.submit(reader.__getitem__, fetch)))
                if len(ahead) > 1:
                    yield _result(ahead)
            while ahead:
                yield _result(ahead)
        finally:
            pool.shutdown(cancel_futures=True)


def _result(ahead: deque[tuple[Fetch, Future[Fetched]]]) -> tuple[Fetch, Fetched]:
    """Wait for the oldest fetch."""
    fetch, future = ahead.popleft()
    return fetch, future.result()


def _in_processes(
    reader: Reader, fetches: Iterator[Fetch], plan: LoadPlan, timeout: float
) -> Iterator[tuple[Fetch, Fetched]]:
    """Read in the worker processes of a DataLoader that lives as long as the fit."""
    posted: deque[Fetch] = deque()
    loader: DataLoader[Any] = DataLoader(
        _Guarded(reader),  # type: ignore[arg-type]
        sampler=_Remembered(fetches, posted),
        batch_size=None,
        num_workers=plan.num_workers,
        collate_fn=_as_it_is,
        prefetch_factor=1,
        timeout=timeout,
        generator=torch.Generator().manual_seed(0),
        multiprocessing_context=_context(),
    )
    yield from map(functools.partial(_paired, posted), loader)


def _paired(posted: deque[Fetch], result: "Fetched | _Failure") -> tuple[Fetch, Fetched]:
    """Join rows with their fetch, the oldest: the loader keeps the order; raise what failed."""
    if isinstance(result, _Failure):
        raise result.error()
    return posted.popleft(), result


class _Remembered:
    """Fetches on their way to the workers, kept until their rows come back."""

    def __init__(self, fetches: Iterator[Fetch], posted: deque[Fetch]) -> None:
        self._fetches, self._posted = fetches, posted

    def __iter__(self) -> Iterator[Fetch]:
        """Keep what is handed out."""
        for fetch in self._fetches:
            self._posted.append(fetch)
            yield fetch


class _Guarded:
    """A reader whose errors come back as plain records: some exceptions cannot be pickled."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._reader)

    def __getitem__(self, fetch: Fetch) -> "Fetched | _Failure":
        """Read, or say what went wrong."""
        try:
            return self._reader[fetch]
        except Exception as error:
            return _Failure.of(error)


@dataclass(frozen=True)
class _Failure:
    """An exception of a worker, as something that can always be sent."""

    pickled: bytes | None
    text: str
    traceback: str

    @classmethod
    def of(cls, error: Exception) -> "_Failure":
        """Pickle the exception if that gives it back whole."""
        text = f"{type(error).__name__}: {error}"
        try:
            pickled = pickle.dumps(error)
            whole = str(pickle.loads(pickled)) == str(error)
        except Exception:
            whole, pickled = False, b""
        return cls(pickled if whole else None, text, traceback.format_exc())

    def error(self) -> Exception:
        """Give the exception back, with the worker's traceback as a note."""
        error: Exception = RuntimeError(self.text)
        if self.pickled:
            # A class of the script itself has another name in a spawned worker.
            with suppress(Exception):
                error = pickle.loads(self.pickled)
        error.add_note(f"In a worker process:\n{self.traceback}")
        return error


def _as_it_is(fetched: Any) -> Any:
    """Keep what the reader made; a lambda could not be sent to spawned workers."""
    return fetched


@functools.cache
def inside_loky() -> bool:
    """Tell whether this process is a worker of joblib's loky (looked at before it is changed)."""
    return (multiprocessing.get_start_method(allow_none=True) or "").startswith("loky")


def _context() -> Any:
    """Start method of the workers: the process's own, except inside joblib's loky.

    A loky worker's context starts processes that only loky can start.
    """
    if not inside_loky():
        return None
    usual = multiprocessing.get_all_start_methods()
    method = "fork" if "fork" in usual else "spawn"
    multiprocessing.set_start_method(method, force=True)
    return method
