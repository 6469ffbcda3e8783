"""A method of a fitted estimator of scikit-learn as a function of tensors."""

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


class RowwiseMethod:
    """Calls a method of a fitted estimator, for ``map_batches``.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.
    method : str
        Its method, which makes something of each row independently.
    """

    draws, makes_features = False, True

    def __init__(self, estimator: Any, method: str) -> None:
        self.estimator, self.method = estimator, method

    def __call__(self, X: Tensor) -> Tensor:
        """Compute what comes of some rows, dense."""
        found = getattr(self.estimator, self.method)(X.numpy())
        if sparse.issparse(found):
            found = found.toarray()  # type: ignore[attr-defined]
        return torch.from_numpy(np.ascontiguousarray(found))
