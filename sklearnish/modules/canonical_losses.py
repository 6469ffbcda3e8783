"""Losses in the outputs of a generalised linear model, whose gradient is mean less target.

Each is the negative log-likelihood of a distribution for outputs that its canonical link turns into
a mean, as in McCullagh and Nelder, "Generalized Linear Models", 1989.
"""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CanonicalLoss(nn.Module):
    """Base of these losses.

    Parameters
    ----------
    reduction : {"mean", "none"}, default="mean"
        Whether to return the mean over rows, or the loss of each row.
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        y_pred : Tensor of shape (n,) or (n, n_outputs)
            Outputs.
        y : Tensor of shape (n,) or (n, n_outputs)
            Targets, or numbers of classes.

        Returns
        -------
        Tensor
            Of shape (), or (n,).
        """
        rows = self.of_rows(y_pred, y)
        return rows.mean() if self.reduction == "mean" else rows

    @abstractmethod
    def of_rows(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the loss of each row."""

    @abstractmethod
    def residual(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the gradient of the loss of each row in its outputs: mean less target.

        Parameters
        ----------
        y_pred : Tensor of shape (n, n_outputs)
            Outputs.
        y : Tensor of shape (n,) or (n, n_outputs)
            Targets, or numbers of classes.

        Returns
        -------
        Tensor of shape (n, n_outputs)
            A new tensor.
        """


class LossByOutput(CanonicalLoss):
    """Base of those whose outputs have a loss each: a row's is their sum."""

    @abstractmethod
    def of_outputs(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the loss of each output."""

    @abstractmethod
    def mean_of(self, y_pred: Tensor) -> Tensor:
        """Turn outputs into means of the targets."""

    def of_rows(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the loss of each row."""
        losses = self.of_outputs(y_pred, y)
        return losses if losses.ndim == 1 else losses.sum(1)

    def residual(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the means, less the targets.

        Parameters
        ----------
        y_pred : Tensor of shape (n, n_outputs)
            Outputs.
        y : Tensor of shape (n,) or (n, n_outputs)
            Targets.

        Returns
        -------
        Tensor of shape (n, n_outputs)
            A new tensor.
        """
        return self.mean_of(y_pred) - y.reshape(y_pred.shape).to(y_pred.dtype)


class HalfSquaredError(LossByOutput):
    """Half of the squared error: of a normal distribution.

    As in scikit-learn, several targets are averaged in the loss that is reported, and summed in
    the gradient.
    """

    def of_rows(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Average over the targets of each row."""
        losses = self.of_outputs(y_pred, y)
        return losses if losses.ndim == 1 else losses.mean(1)

    def of_outputs(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the loss of each output."""
        return F.mse_loss(y_pred, y, reduction="none") / 2

    def mean_of(self, y_pred: Tensor) -> Tensor:
        """Return the outputs."""
        return y_pred


class HalfPoissonDeviance(LossByOutput):
    """Half of the deviance of a Poisson distribution; outputs are logarithms of its mean."""

    def of_outputs(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the loss of each output."""
        return torch.xlogy(y, y) - y * y_pred - y + y_pred.exp()

    def mean_of(self, y_pred: Tensor) -> Tensor:
        """Return the means."""
        return y_pred.exp()


class BinaryLogLoss(LossByOutput):
    """Cross entropy of labels that do not exclude each other; outputs are logits."""

    def of_outputs(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the loss of each output."""
        return F.binary_cross_entropy_with_logits(y_pred, y, reduction="none")

    def mean_of(self, y_pred: Tensor) -> Tensor:
        """Return the probabilities."""
        return y_pred.sigmoid()


class LogLoss(CanonicalLoss):
    """Cross entropy of classes, which are given by their numbers; outputs are logits."""

    def of_rows(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the loss of each row."""
        return F.cross_entropy(y_pred, y, reduction="none")

    def residual(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the probabilities, less 1 for the class of each row.

        Parameters
        ----------
        y_pred : Tensor of shape (n, n_classes)
            Outputs.
        y : Tensor of shape (n,)
            Numbers of classes.

        Returns
        -------
        Tensor of shape (n, n_classes)
            A new tensor.
        """
        found = y_pred.softmax(1)
        places = y.unsqueeze(1)
        return found.scatter_add_(1, places, found.new_full((1, 1), -1.0).expand(places.shape))
