"""Which rows cannot be used: a pass over the data before training, for ``on_bad_rows="skip"``.

Bad rows are found before an epoch is planned, not while it runs: the epochs, batches, held-out
rows and statistics are then those of the good rows, and the same whoever reads them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sklearnish.data._errors import BadRowsError
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._order.samplers import Fetch
from sklearnish.data._reading.clock import Times
from sklearnish.data._reading.reader import EvaluationReader, Fetched
from sklearnish.data._source import IntArray
from sklearnish.data._tensors.batch import Batch, Features, n_rows
from sklearnish.data._views.view import View

_BATCH = 2**16
"""Rows whose answers are collected at once."""

_LISTED = 1000
"""Entries of the list of rows that were left out."""


def find_bad_rows(dataset: View, **pipeline: Any) -> IntArray:
    """Read all rows once, and find those that are damaged, NaN or infinite.

    Parameters
    ----------
    dataset : View
        Any.
    **pipeline
        Options of the Loader, such as ``num_workers``.

    Returns
    -------
    ndarray of int64
        Their positions in the view, ascending.
    """
    rows = dataset.without_target()
    options = pipeline | {"sampler": "sequential", "finite": False, "reader": _Checker}
    with prepare_loader(rows, batch_size=_BATCH, **options) as loader:
        bad = [batch.X.numpy() for batch in loader if isinstance(batch.X, Tensor)]
    return np.flatnonzero(np.concatenate(bad))


def name_rows(dataset: View, positions: IntArray) -> tuple[str, ...]:
    """Name rows by file and number, neighbours together; the first thousand such names."""
    rows = np.unique(dataset.rows[positions])
    starts = np.flatnonzero(np.diff(rows, prepend=-2) > 1)
    stops = [*starts[1:].tolist(), len(rows)]
    name = dataset.source.row_name
    names = [
        name(int(rows[start])) + (f" to {name(int(rows[stop - 1]))}" if stop - start > 1 else "")
        for start, stop in zip(starts[:_LISTED].tolist(), stops, strict=False)
    ]
    more = len(starts) - len(names)
    return (*names, f"... and {more} more") if more else tuple(names)


class _Checker(EvaluationReader):
    """Reads like a Reader, but answers for each row whether it is bad."""

    def __getitem__(self, fetch: Fetch) -> Fetched:
        """Read the rows of a fetch, again without those that turn out to be damaged."""
        bad = np.zeros(len(fetch.positions), dtype=bool)
        while not bad.all():
            good = np.flatnonzero(~bad)
            try:
                read = super().__getitem__(fetch._replace(positions=fetch.positions[good]))
            except BadRowsError as error:
                found = np.isin(self._dataset.rows[fetch.positions], np.asarray(error.rows))
                if not found[good].any():
                    raise
                bad |= found
                continue
            bad[good] = _not_finite(read.batch.X)
            return read._replace(batch=Batch(torch.from_numpy(bad)))
        return Fetched.here(Batch(torch.from_numpy(bad)), Times())

    def complete(self, pair: tuple[Fetch, Fetched]) -> tuple[Fetch, Fetched]:
        """Leave answers as they are: no labels go with them."""
        return pair


def _not_finite(X: Features) -> npt.NDArray[np.bool_]:
    """Tell which rows hold NaN or infinity."""
    bad = np.zeros(n_rows(X), dtype=bool)
    for tensor in X.values() if isinstance(X, dict) else [X]:
        if tensor.is_floating_point():
            bad |= ~torch.isfinite(tensor).reshape(len(bad), -1).all(1).numpy()
    return bad
