"""The net of a classifier."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin

from sklearnish.training._net import Net


class ClassifierNet(ClassifierMixin, Net):
    """A Net whose predictions are class numbers, for scoring callbacks such as accuracy."""

    @property
    def classes_(self) -> npt.NDArray[np.int64]:
        """Numbers of the classes."""
        return np.arange(max(2, self.n_outputs_))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict class numbers."""
        outputs: npt.NDArray[Any] = self.predict_proba(X)
        if outputs.ndim == 1 or outputs.shape[1] == 1:
            return (outputs.reshape(-1) > 0.5).astype(np.int64)
        return np.asarray(outputs.argmax(axis=1))
