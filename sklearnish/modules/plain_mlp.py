"""A multilayer perceptron and nothing else, whose gradients are written out."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn


class _Activation(NamedTuple):
    """A function, in place, and how a gradient passes it backward, by the function's value."""

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]


_ACTIVATIONS = {
    "identity": _Activation(lambda z: z, lambda delta, _: delta),
    "logistic": _Activation(torch.sigmoid_, torch.ops.aten.sigmoid_backward),
    "tanh": _Activation(torch.tanh_, torch.ops.aten.tanh_backward),
    "relu": _Activation(
        torch.relu_, lambda delta, h: torch.ops.aten.threshold_backward(delta, h, 0)
    ),
}


class PlainMLP(nn.Module):
    """Multilayer perceptron that takes its inputs as they are, as scikit-learn's does.

    Training asks it for its gradients, which it computes in half of the time that autograd takes
    for layers so small. All weights are one vector, for which the optimizer takes one step.

    Parameters
    ----------
    in_features : int
        Number of values in a row.
    out_features : int
        Number of outputs.
    hidden : sequence of int, default=(100,)
        Widths of the hidden layers.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        What follows each hidden layer.
    alpha : float, default=0.0
        Strength of the penalty: half of it, times the sum of the squared weights without the
        biases, divided by the number of rows, is added to the loss of a batch. Only where
        training asks for `gradient`, as with a `CanonicalLoss`.

    Attributes
    ----------
    packed : nn.Parameter of shape (n_weights,)
        The weights of each layer, and behind them the biases of each.

    Examples
    --------
    >>> import torch
    >>> from sklearnish.modules import PlainMLP
    >>> module = PlainMLP(4, 3, hidden=(32, 16), activation="tanh")
    >>> module(torch.zeros(5, 4)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (100,),
        activation: str = "relu",
        alpha: float = 0.0,
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            known = ", ".join(map(repr, _ACTIVATIONS))
            raise ValueError(f"activation={activation!r} is not one of {known}.")
        self.widths = (in_features, *map(int, hidden), out_features)
        self.activation, self.alpha = activation, float(alpha)
        self.shapes = tuple(pairwise(self.widths))
        self.sizes = [n_in * n_out for n_in, n_out in self.shapes] + [*self.widths[1:]]
        self.packed = nn.Parameter(torch.empty(sum(self.sizes)))
        for weight, bias in self.layers():
            bound = 1 / math.sqrt(max(1, len(weight)))
            nn.init.uniform_(weight, -bound, bound)
            nn.init.uniform_(bias, -bound, bound)

    def layers(self, packed: Tensor | None = None) -> list[tuple[Tensor, Tensor]]:
        """Return weights and biases of each layer, as views.

        Parameters
        ----------
        packed : Tensor of shape (n_weights,), default=None
            What to take apart. None are the weights themselves.

        Returns
        -------
        list of (Tensor of shape (n_in, n_out), Tensor of shape (n_out,))
            The layers, that of the inputs first.
        """
        parts = (self.packed if packed is None else packed).split_with_sizes(self.sizes)
        weights = map(Tensor.view, parts, self.shapes)
        return list(zip(weights, parts[len(self.shapes) :], strict=True))

    def forward(self, X: Tensor) -> Tensor:
        """Compute the outputs of a batch.

        Parameters
        ----------
        X : Tensor of shape (n, in_features) or (n, ...)
            Rows.

        Returns
        -------
        Tensor of shape (n, out_features)
            Logits, values or logarithms of rates.
        """
        return self.values(X)[-1]

    def values(self, X: Tensor) -> list[Tensor]:
        """Compute what each layer puts out, the inputs first.

        Parameters
        ----------
        X : Tensor of shape (n, in_features) or (n, ...)
            Rows.

        Returns
        -------
        list of Tensor of shape (n, width)
            Inputs, hidden values, outputs.
        """
        values = [X if X.ndim == 2 else X.flatten(1)]
        activate = _ACTIVATIONS[self.activation].forward
        for weight, bias in self.layers():
            if len(values) > 1:
                activate(values[-1])
            values.append(torch.addmm(bias, values[-1], weight))
        return values

    def gradient(self, values: Sequence[Tensor], delta: Tensor, size: float) -> Tensor:
        """Compute the gradient of all weights, that of the penalty included.

        Parameters
        ----------
        values : list of Tensor
            What `values` returned.
        delta : Tensor of shape (n, out_features)
            Gradient of the loss in the outputs.
        size : float
            Number of rows of the batch, or their weight.

        Returns
        -------
        Tensor of shape (n_weights,)
            Packed as the weights are.
        """
        backward = _ACTIVATIONS[self.activation].backward
        slopes: list[Tensor] = []
        for inputs, (weight, _) in zip(values[-2::-1], self.layers()[::-1], strict=True):
            slopes += [delta.sum(0), torch.mm(inputs.t(), delta)]
            if inputs is not values[0]:
                delta = backward(delta.mm(weight.t()), inputs)
        found = torch.cat([slope.view(-1) for slope in slopes[1::2][::-1] + slopes[::2][::-1]])
        self.add_penalty(found, size)
        return found

    def add_penalty(self, gradient: Tensor, size: float) -> None:
        """Add that of the penalty to a gradient.

        Parameters
        ----------
        gradient : Tensor of shape (n_weights,)
            Packed as the weights are; it is changed.
        size : float
            Number of rows, or their weight.
        """
        if self.alpha:
            n = self._n_penalised
            gradient[:n].add_(self.packed[:n], alpha=self.alpha / size)

    def penalty(self, size: float) -> Tensor | float:
        """Compute the penalty for a batch.

        Parameters
        ----------
        size : float
            Number of rows, or their weight.

        Returns
        -------
        Tensor of shape () or float
            What is added to the loss.
        """
        if not self.alpha:
            return 0.0
        weights = self.packed[: self._n_penalised]
        return weights.dot(weights).mul_(self.alpha / 2 / size)

    @property
    def _n_penalised(self) -> int:
        """Number of weights but the biases."""
        return sum(self.sizes[: len(self.shapes)])
