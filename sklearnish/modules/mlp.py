"""The default module: a multilayer perceptron that standardises its inputs."""

from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

from torch import Tensor, nn

from sklearnish.modules.scaling import InputScaling

NARROWEST, WIDEST = 128, 512


class MLP(InputScaling):
    """Multilayer perceptron whose first step is to standardise its inputs.

    Columns of zeros and ones are left as they are. The scaling is part of the module (its
    buffers), so that it is saved, moved and cast with the weights. Rows of more than one
    dimension are flattened; whole numbers are cast to the dtype of the weights.

    Parameters
    ----------
    in_features : int
        Number of values in a row.
    out_features : int
        Number of outputs.
    hidden : int or sequence of int, default=None
        Widths of the hidden layers. None means two layers as wide as the smallest power of two
        that is not below ``in_features + out_features``, and between 128 and 512. The number
        of rows plays no part.
    dropout : float, default=0.0
        Fraction of hidden activations that are dropped in training.

    Attributes
    ----------
    mean, scale : Tensor of shape (in_features,)
        What is subtracted from the inputs, and by what they are divided then.
    mean_rest : Tensor of shape (in_features,)
        What the dtype of the weights rounds off `mean`; subtracted from inputs in float64.
    wide : Tensor of shape ()
        Whether estimators hand over inputs in float64, since float32 would round them by much.

    Examples
    --------
    >>> import torch
    >>> from sklearnish.modules import MLP
    >>> module = MLP(4, 3, hidden=(32, 16), dropout=0.1)
    >>> module(torch.zeros(5, 2, 2)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: int | Sequence[int] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(in_features)
        widths = hidden_widths(hidden, in_features + out_features)
        self.layers = dense(in_features, widths, out_features, dropout)

    def forward(self, X: Tensor) -> Tensor:
        """Compute the outputs of a batch.

        Parameters
        ----------
        X : Tensor of shape (n, in_features) or (n, ...)
            Rows.

        Returns
        -------
        Tensor of shape (n, out_features)
            Logits or values.
        """
        outputs: Tensor = self.layers(self.standardize(X))
        return outputs


def dense(n_in: int, hidden: Sequence[int], n_out: int, dropout: float) -> nn.Sequential:
    """Build linear layers with ReLU, and dropout, between them."""
    _check_dropout(dropout)
    widths, layers = [n_in, *hidden], list[nn.Module]()
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(float(dropout)))
    return nn.Sequential(*layers, nn.Linear(widths[-1], n_out))


def hidden_widths(hidden: Any, features: int) -> tuple[int, ...]:
    """Say how wide each hidden layer is."""
    if hidden is None:
        width = min(max(1 << (features - 1).bit_length(), NARROWEST), WIDEST)
        return (width, width)
    is_list = hasattr(hidden, "__iter__") and not isinstance(hidden, str)
    widths = tuple(hidden) if is_list else (hidden,)
    if not all(_is_width(width) for width in widths):
        raise ValueError(
            f"hidden={hidden!r} must be an integer of at least 1, a sequence of them (one per "
            "hidden layer), or None; for example hidden=64 or hidden=(64, 32)."
        )
    return tuple(map(int, widths))


def _is_width(width: Any) -> bool:
    """Tell whole numbers above 0, those of NumPy too."""
    return isinstance(width, Integral) and not isinstance(width, bool) and int(width) > 0


def _check_dropout(dropout: Any) -> None:
    """Refuse what is no fraction; with 1 nothing would be learned."""
    if isinstance(dropout, Real) and not isinstance(dropout, bool) and 0 <= float(dropout) < 1:
        return
    raise ValueError(
        f"dropout={dropout!r} must be a number from 0 to below 1: the fraction of hidden "
        "activations dropped in training, for example dropout=0.2."
    )
