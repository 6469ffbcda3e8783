"""The loss of quantiles."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class QuantileLoss(nn.Module):
    """Loss whose least mean is at quantiles of the targets: the pinball loss.

    It was introduced by Koenker and Bassett [1]_.

    Parameters
    ----------
    quantiles : sequence of float
        Shares of the targets that are to be below the outputs, one for each output.
    reduction : {"mean", "sum", "none"}, default="mean"
        Whether to return one number, or the loss of each output.

    References
    ----------
    .. [1] Koenker and Bassett, "Regression quantiles", 1978, https://doi.org/10.2307/1913643

    Examples
    --------
    >>> import torch
    >>> from sklearnish.modules import QuantileLoss
    >>> QuantileLoss([0.1, 0.9])(torch.tensor([[0.0, 2.0]]), torch.tensor([1.0]))
    tensor(0.1000)
    """

    def __init__(self, quantiles: Sequence[float], reduction: str = "mean") -> None:
        super().__init__()
        self.quantiles = [float(quantile) for quantile in quantiles]
        self.reduction = reduction

    def forward(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        y_pred : Tensor of shape (n, n_quantiles)
            Outputs.
        y : Tensor of shape (n,)
            Targets.

        Returns
        -------
        Tensor
            Of shape (), or (n, n_quantiles).
        """
        below = y.reshape(-1, 1) - y_pred
        shares = torch.tensor(self.quantiles, dtype=y_pred.dtype)
        shares = shares.to(y_pred.device, non_blocking=True)  # or each step would wait
        losses = torch.maximum(shares * below, (shares - 1) * below)
        if self.reduction == "none":
            return losses
        return losses.mean() if self.reduction == "mean" else losses.sum()
