"""A net whose targets are the rows themselves."""

from typing import Any

import torch
from torch import Tensor

from sklearnish.data import Batch, Features
from sklearnish.training._net import Net
from sklearnish.training._step.precision import as_taken


class ReconstructionNet(Net):
    """A Net whose outputs are compared with the rows that it is given.

    A module with a method ``standardize`` says by it what rows are to be compared with.
    """

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Take one step."""
        return super().train_step(self._with_itself(batch))

    def validation_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute outputs and loss of one batch."""
        return super().validation_step(self._with_itself(batch))

    @torch.no_grad()
    def row_losses(self, X: Features) -> Tensor:
        """Compute the loss of each row."""
        batch = self._with_itself(Batch(X))
        assert batch.y is not None
        return self.step_.loss.of_each(self.infer(X), batch.y)

    def _with_itself(self, batch: Batch) -> Batch:
        """Put the rows, as they are to be compared, in the place of the target."""
        assert isinstance(batch.X, Tensor)
        standardize = getattr(self.module_, "standardize", None)
        with torch.no_grad():
            y = standardize(batch.X) if standardize else as_taken(batch.X, self.precision)
        return Batch(batch.X, y, batch.weight)
