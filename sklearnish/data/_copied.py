"""A Dataset whose columns can be set to one value: what partial dependence asks of a copy."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearnish.data._columns import feature_names, feature_positions
from sklearnish.data._dataset import Dataset


@dataclass(frozen=True, eq=False, repr=False)
class CopiedDataset(Dataset):
    """Rows of another Dataset, and the values that some columns are set to."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Set whole columns, ``copied[:, j] = 1.0``, to one number.

        Raises
        ------
        TypeError
            If anything but whole columns is set, or not to a number.
        """
        rows, columns = key if isinstance(key, tuple) and len(key) == 2 else (key, ...)
        if not (isinstance(rows, slice) and rows == slice(None)) or np.ndim(value) != 0:
            raise TypeError("Rows of a Dataset cannot be set; a column can, to a single number.")
        if self._transforms:
            raise TypeError("Columns are set before map and map_batches, not after.")
        if self._names is not None and self.row_shape != (len(self._names),):
            raise TypeError("Columns of lists cannot be set.")
        picked = [columns] if isinstance(columns, int | np.integer | str) else columns
        features: Any
        if self._names is not None:
            features = feature_names(self._names, picked)
        else:
            width = self.shape[1] if self.ndim == 2 else None
            features = feature_positions(width, self._picked, picked).tolist()
        self._constants.update(dict.fromkeys(features, float(value)))
