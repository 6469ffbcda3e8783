"""Errors with names of their own, and errors on their way from another process."""

import errno
import os
import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


class BadRowsError(ValueError):
    """Some rows are damaged, or a function cannot take them; the others can be read without them.

    Attributes
    ----------
    rows : range or ndarray of int64
        Their numbers; where a function raises it, their places among the rows that it was given.
    """

    def __init__(self, message: str, rows: "range | npt.NDArray[np.int64]") -> None:
        super().__init__(message)
        self.rows = rows

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the rows."""
        return type(self), (str(self), self.rows)


class DatasetChangedError(RuntimeError):
    """A file changed since it was scanned.

    Examples
    --------
    >>> from sklearnish import DatasetChangedError
    >>> raise DatasetChangedError("train.parquet changed since it was scanned")
    Traceback (most recent call last):
    ...
    sklearnish.data._errors.DatasetChangedError: train.parquet changed since it was scanned
    """


class DataWorkerError(RuntimeError):
    """A worker process failed repeatedly on the same rows, or timed out.

    The message names the rows, their file, and how the process ended.

    Examples
    --------
    >>> import os
    >>> import warnings
    >>> import torch
    >>> import sklearnish as sn
    >>> class Crashes(torch.utils.data.Dataset):
    ...     def __len__(self):
    ...         return 8
    ...
    ...     def __getitem__(self, i):
    ...         if torch.utils.data.get_worker_info() is not None:
    ...             os._exit(3)
    ...         return torch.zeros(2), 0
    >>> warnings.simplefilter("ignore", RuntimeWarning)  # of the first death
    >>> try:
    ...     list(sn.as_dataset(Crashes()).batches(4, num_workers=1))
    ... except sn.DataWorkerError as error:
    ...     print("exit code 3" in str(error), "num_workers=0" in str(error))
    True True
    """


@dataclass(frozen=True)
class Failure:
    """What is left of an exception on its way: some cannot be pickled."""

    pickled: bytes | None
    text: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Pickle the exception if that gives it back whole."""
        text = f"{type(error).__name__}: {error}"
        try:
            pickled = pickle.dumps(error)
            whole = str(pickle.loads(pickled)) == str(error)
        except Exception:
            whole, pickled = False, b""
        return cls(pickled if whole else None, text, traceback.format_exc())

    def error(self, where: str) -> Exception:
        """Give the exception back, with the traceback of that process as a note."""
        error: Exception = RuntimeError(self.text)
        if self.pickled:
            # A class of the script itself has another name in a spawned worker.
            with suppress(Exception):
                error = pickle.loads(self.pickled)
        error.add_note(f"{where}:\n{self.traceback}")
        return error


def raise_system_error(error: BaseException, path: str | os.PathLike[str]) -> None:
    """Raise again what the system says: no permission, no more descriptors, a disk that fails.

    What decoders say of damaged bytes may be an OSError, too, but has no number, or that of a
    place in the file that cannot be.
    """
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        if error.filename == os.fspath(path):  # it is named
            raise error
        raise OSError(error.errno, os.strerror(error.errno), os.fspath(path)) from error


@contextmanager
def explained(
    path: str | os.PathLike[str],
    kinds: tuple[type[Exception], ...],
    tell: Callable[[Exception], Exception],
    check: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Let what a library says of a file be said in words that name it, after a `check` of it.

    What has changed is not damaged, nor is what cannot be read just now.
    """
    try:
        yield
    except MemoryError:  # Arrow's is an ArrowException, too
        raise
    except kinds as error:
        check()
        raise_system_error(error, path)
        raise tell(error) from error
