"""The immutable view that users hold: loops over it, copies on the disk, and other forms of it."""

import inspect
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch

from sklearnish.data import _pandas
from sklearnish.data._functions.randomness import seed_of
from sklearnish.data._loading.loader import Loader
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._system.devices import resolve_device
from sklearnish.data._views.features import FeatureView
from sklearnish.data._views.rounding import rounded_columns, warn_of_rounding
from sklearnish.data._views.view import Values
from sklearnish.data._whole import is_whole
from sklearnish.data._write_parquet import write_parquet
from sklearnish.data._write_rows import write_folder

if TYPE_CHECKING:
    import pandas as pd

_WIDER = "ds.with_dtype(torch.float64) hands it to functions of rows as stored."


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(FeatureView):
    """A lazy, row-addressable view of arrays, a DataFrame or files.

    Made by :func:`as_dataset` and the ``scan_*`` functions. Immutable: every method returns a
    new view. scikit-learn's splitters, searches and pipelines index it like an array, and only
    the rows and columns that are needed are read.

    Examples
    --------
    >>> import numpy as np
    >>> import sklearnish as sn
    >>> ds = sn.as_dataset(np.arange(12.0).reshape(6, 2), y=[0, 1, 0, 1, 0, 1])
    >>> ds.shape
    (6, 2)
    >>> ds[ds.target == 1].shape
    (3, 2)
    >>> for X, y in ds.batches(4):
    ...     print(tuple(X.shape), y.tolist())
    (4, 2) [0, 1, 0, 1]
    (2, 2) [0, 1]
    """

    def batches(
        self,
        batch_size: int = 256,
        *,
        shuffle: bool = False,
        sampler: Any = None,
        epochs: int = 1,
        augment: Any = None,
        num_workers: int | Literal["auto"] = "auto",
        pin_memory: bool | Literal["auto"] = "auto",
        shuffle_memory: int | str = "256MB",
        device: torch.device | str = "cpu",
        random_state: int | None = 0,
    ) -> Iterator[tuple[Any, ...]]:
        """Iterate over batches of tensors, for a training loop of your own.

        Parameters
        ----------
        batch_size : int, default=256
            Rows per batch; the last one may be smaller.
        shuffle : bool, default=False
            Whether to read rows in random order, a new one in each epoch.
        sampler : str or callable, default=None
            Overrides `shuffle`: "shuffle", "sequential", "balanced", "weighted", or a callable
            that takes this view and returns row indices or a torch ``Sampler``.
        epochs : int, default=1
            Number of passes over the rows.
        augment : callable, sequence of callables or per_batch, default=None
            Random functions of rows or batches.
        num_workers : int or "auto", default="auto"
            Worker processes that read ahead; 0 reads in this process, between batches. The
            batches are always the same.
        pin_memory : bool or "auto", default="auto"
            Whether to put batches into page-locked memory; "auto" does so for CUDA.
        shuffle_memory : int or str, default="256MB"
            Memory for reading and shuffling rows of files.
        device : torch.device or str, default="cpu"
            Device of the tensors; "auto" takes a GPU if there is one.
        random_state : int or None, default=0
            Seed of order and augmentation; None draws one. The same seed gives the same
            epochs; pass another seed to get another order.

        Returns
        -------
        iterator of tuple
            ``(X, y)``, with ``y`` None without a target; ``(X, y, weight)`` if the Dataset
            has weights.

        Raises
        ------
        ValueError
            If there are no rows, a parameter is out of range, or the device is not available.
        TypeError
            If `sampler` or `augment` are of another kind.
        """
        _check_epochs(epochs)
        self._warn_of_rounding("Scale it before, or take ds.with_dtype(torch.float64).")
        loader = prepare_loader(
            self,
            batch_size=batch_size,
            epochs=epochs,
            sampler=sampler or ("shuffle" if shuffle else "sequential"),
            seed=seed_of(random_state),
            augment=augment,
            shuffle_memory=shuffle_memory,
            num_workers=num_workers,
            pin_memory=pin_memory,
            device=resolve_device(device),
            finite=False,
        )
        return _tuples(loader, epochs, 3 if self._weight else 2)

    def cache(self, path: Any, *, shuffle: bool = False, random_state: int = 0) -> Self:
        """Write the rows, with transforms applied, to a folder, and read them from there.

        They are written in the type of batches, or in float64 if a sample of the rows shows that
        float32 would change integers, such as ids, or lose much of a column far from zero, such as
        a timestamp. Batches are float32 in both cases.

        Parameters
        ----------
        path : path-like
            A new folder, which appears when it is complete; or a folder that already holds the same
            rows, which is reused. If your own functions changed, or something that they call or
            read, the rows count as others; functions of installed packages are compared by name.
        shuffle : bool, default=False
            Whether to write the rows in random order.
        random_state : int, default=0
            Seed of that order.

        Returns
        -------
        Dataset
            The written rows, with the same columns, target and weights.

        Raises
        ------
        FileExistsError
            If the folder holds other rows or files.
        """
        if self.transforms:
            self._warn_of_rounding(_WIDER)
        return write_folder(self, path, shuffle=shuffle, seed=random_state)

    def to_parquet(
        self,
        path: Any,
        *,
        shuffle: bool = False,
        random_state: int | None = 0,
        rows_per_group: int | Literal["auto"] = "auto",
        compression: str = "zstd",
    ) -> Self:
        """Write the rows, as they are stored, to one Parquet file, and read them from there.

        Features come first, then target and weight; types and missing values are kept. The
        features of an array are named x0, x1 and so on, and labels and weights in memory "target"
        and "weight". Rows are read and written piece by piece. Those of files in another order,
        as after ``shuffle=True``, go through temporary files beside `path`, which take as much
        room as the rows in memory would.

        Parameters
        ----------
        path : path-like
            The file. It appears when it is complete, in the place of one that exists.
        shuffle : bool, default=False
            Whether to write the rows in random order, in which any permutation is equally likely:
            what training on a file needs that is sorted or grouped. It takes 40 bytes of memory
            per row.
        random_state : int or None, default=0
            Seed of that order; None draws one.
        rows_per_group : int or "auto", default="auto"
            Rows of a row group, which are read together; "auto" takes about 4 MB of them.
        compression : str, default="zstd"
            "zstd", "snappy", "lz4", "gzip", "brotli" or "none".

        Returns
        -------
        Dataset
            The rows in the file, with the same columns, target and weights.

        Raises
        ------
        ValueError
            If the rows are not a table, as images are not; functions of tensors were applied,
            whose results :meth:`cache` writes; the rows are read from the file at `path`; or a
            column of Python objects has no type.
        IsADirectoryError
            If `path` is a folder.
        OSError
            If the disk is full; nothing is left then.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import pandas as pd
        >>> import sklearnish as sn
        >>> frame = pd.DataFrame({"km": [120, 30, 80], "town": ["Ulm", None, "Bonn"]})
        >>> ds = sn.as_dataset(frame, y=[1.5, 2.5, 3.5])
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "train.parquet"
        >>> written = ds[ds.target > 2].to_parquet(path, shuffle=True)
        >>> written.columns, sorted(written.target.tolist())
        (('km', 'town'), [2.5, 3.5])
        """
        return write_parquet(
            self,
            path,
            shuffle=shuffle,
            seed=seed_of(random_state),
            rows_per_group=rows_per_group,
            compression=compression,
        )

    def head(self, n: int = 5) -> "pd.DataFrame":
        """Show the first rows.

        Parameters
        ----------
        n : int, default=5
            How many.

        Returns
        -------
        pandas.DataFrame
            As :meth:`to_pandas` gives them.
        """
        frame: pd.DataFrame = self[:n].to_pandas()
        return frame

    def to_pandas(self, limit: int | None = None) -> "pd.DataFrame":
        """Read rows into a DataFrame.

        Parameters
        ----------
        limit : int or None, default=None
            Number of rows, from the first; None for all.

        Returns
        -------
        pandas.DataFrame
            Features as stored, then the target.

        Raises
        ------
        ValueError
            If the rows are not a table, or more than a gigabyte.
        """
        return _pandas.to_pandas(self if limit is None else self[:limit])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Values:
        """Read the features into an array if they are less than a gigabyte in their `dtype`.

        Without a dtype it has one that holds what is stored, float32 or float64, unless
        :meth:`with_dtype` or functions of rows have chosen.
        """
        if self.transforms:
            self._warn_of_rounding(_WIDER)
        return _pandas.to_array(self, dtype)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Let numpy's functions (``hstack``, ``concatenate``) see an array."""
        return func(*_pandas.as_arrays(args), **_pandas.as_arrays(kwargs))

    def __sklearn_clone__(self) -> Self:
        """Return itself: nothing in it can change."""
        return self

    def copy(self) -> "CopiedDataset":
        """Make a lazy copy whose columns can be set to one value.

        ``copied[:, j] = 1.0`` is what :func:`sklearn.inspection.partial_dependence` does; the
        rows of this Dataset stay as they are.

        Returns
        -------
        Dataset
            A view of the same rows.
        """
        fields_of = {f.name: self.__dict__[f.name] for f in fields(self)}
        inputs = replace(self._inputs, constants=dict(self._inputs.constants))
        return CopiedDataset(**fields_of | {"_inputs": inputs})

    def __sizeof__(self) -> int:
        """Count the bytes that are sent to other processes: Dask sends what is large once."""
        buffers: list[pickle.PickleBuffer] = []
        try:
            rest = pickle.dumps(self, protocol=5, buffer_callback=buffers.append)
        except Exception:  # pickling runs the object's own code: anything can come
            return object.__sizeof__(self)
        return len(rest) + sum(buffer.raw().nbytes for buffer in buffers)

    def __repr__(self) -> str:
        """Show what a DataFrame would."""
        return _pandas.describe(self)

    def _repr_html_(self) -> str:
        """Show the same in a notebook."""
        return _pandas.describe_as_html(self)

    def _for_module(self, dtype: torch.dtype) -> Self:
        """Deliver the type of a module's weights, unless functions were promised float64."""
        promised = self.transforms and self._inputs.asked == torch.float64
        return self if promised else self.with_dtype(dtype)

    def _as_arrays_are(self) -> Self:
        """Deliver the type that ``np.asarray`` has, which holds what is stored."""
        wide = None if self.transforms or self._inputs.asked else self._as_stored()._inputs.asked
        return self if wide is None else self.with_dtype(wide)

    def _warn_of_rounding(self, cure: str) -> None:
        """Warn of what float32 loses, unless it was asked for."""
        if self._inputs.asked is None:
            warn_of_rounding(rounded_columns(self), self.source.name, cure)


@dataclass(frozen=True, eq=False, repr=False)
class CopiedDataset(Dataset):
    """Rows of another Dataset, and the values that some columns are set to."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Set whole columns, ``copied[:, j] = 1.0``, to one value.

        Raises
        ------
        TypeError
            If anything but whole columns is set, or not to a single value.
        """
        rows, columns = key if isinstance(key, tuple) and len(key) == 2 else (key, ...)
        if not (isinstance(rows, slice) and rows == slice(None)) or np.ndim(value) != 0:
            raise TypeError("Rows of a Dataset cannot be set; a column can, to a single value.")
        if self.transforms:
            raise TypeError("Columns are set before map and map_batches, not after.")
        names = self._inputs.names
        if names is not None and self.row_shape != (len(names),):
            raise TypeError("Columns of lists cannot be set.")
        picked = [columns] if isinstance(columns, int | np.integer | str) else columns
        for feature in self._inputs.find(picked, self.row_shape):
            is_number = names is None or self.source.schema[str(feature)].kind == "number"
            self._inputs.constants[feature] = float(value) if is_number else value


def _check_epochs(epochs: Any) -> None:
    """Refuse what is not a number of epochs."""
    if not is_whole(epochs, 1):
        raise ValueError(f"epochs must be an integer of at least 1, got {epochs!r}.")


def _tuples(loader: Loader, epochs: int, n: int) -> Iterator[tuple[Any, ...]]:
    """Yield the first fields of every batch; the loader is closed in the end."""
    with loader:
        for _ in range(epochs):
            for batch in loader:
                yield tuple(batch[:n])


# Datasets are made by as_dataset and the scan functions: their fields are nobody's arguments.
Dataset.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
