"""Which rows of each batch are read by which of several processes that train together.

The order of an epoch does not depend on how many processes there are: each takes its part of
every fetch, and so of every batch. Rows mixed from several blocks are parted by where they are
stored, so that hardly any block is read twice; a batch then has about as many rows for each
process. All other rows, and those of small batches, are parted by their place in the batch, as
evenly as can be.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sklearnish.data._order.samplers import Fetch, Part
from sklearnish.data._order.sizes import n_batches
from sklearnish.data._source import IntArray
from sklearnish.data._views import row_numbers
from sklearnish.data._views.view import View

Bools = npt.NDArray[np.bool_]

_MANY = 32
"""Rows for each process with which none is left with hardly any by chance."""


@dataclass(frozen=True)
class Share:
    """The share of one of several processes.

    Parameters
    ----------
    rank : int, default=0
        Its number.
    size : int, default=1
        How many there are.
    least : int or None, default=None
        Rows of a batch that a process has, if it has any; None is as many as a batch must have.
    """

    rank: int = 0
    size: int = 1
    least: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether this process is alone."""
        return self.size == 1

    def of(self, fetch: Fetch, dataset: View, batch_size: int, min_batch_size: int) -> Fetch:
        """Return what this process reads of a fetch; of all processes together, every row once.

        Parameters
        ----------
        fetch : Fetch
            A whole one.
        dataset : View
            What its positions count.
        batch_size, min_batch_size : int
            How batches are cut.

        Returns
        -------
        Fetch
            With at least one row, which is not used if this process has none.
        """
        own = np.flatnonzero(self._is_own(fetch, dataset, batch_size, min_batch_size))
        read = own if len(own) else np.zeros(1, np.int64)
        part = Part(len(fetch.positions), read, len(own))
        return fetch._replace(positions=fetch.positions[read], part=part)

    def between(self, n: int) -> tuple[int, int]:
        """Return where its share of n rows in order begins and ends."""
        return self.rank * n // self.size, (self.rank + 1) * n // self.size

    def _is_own(self, fetch: Fetch, dataset: View, batch_size: int, least: int) -> Bools:
        """Say which rows of a fetch are those of this process."""
        places, last = fetch.places, n_batches(fetch.total, batch_size, least) - 1
        before = int(np.clip(last * batch_size - fetch.start, 0, len(places)))
        stored, few = None, least if self.least is None else self.least
        if fetch.n_blocks >= self.size:
            stored = self._by_storage(row_numbers.take(dataset._rows, fetch.positions))
        of_last, own = fetch.total - last * batch_size, np.empty(len(places), bool)
        for part, size in ((slice(before), batch_size), (slice(before, None), of_last)):
            if stored is not None and size >= _MANY * self.size:
                own[part] = stored[part]
            else:
                own[part] = self._by_place(places[part] - last * batch_size, size, few)
        return own

    def _by_storage(self, rows: IntArray) -> Bools:
        """Say which rows are in an equal part of the storage; one drawn twice counts as two."""
        n = len(rows)
        keys = rows * n + np.arange(n)
        start, stop = self.between(n)
        inner = [i for i in (start, stop) if 0 < i < n]
        parted = np.partition(keys, inner) if inner else keys
        own = np.ones(n, bool)
        if start > 0:
            own &= keys >= parted[start]
        if stop < n:
            own &= keys < parted[stop]
        return own

    def _by_place(self, places: IntArray, size: int, least: int) -> Bools:
        """Say which rows are in an equal part of their batch, given places from that of a batch.

        Of few rows, some processes get as many as a batch must have, and the others none.
        """
        parts = min(max(1, size // least), self.size)
        own: Bools = places % size * parts // size == self.rank
        return own


WHOLE = Share()
"""That of a process which is alone."""
