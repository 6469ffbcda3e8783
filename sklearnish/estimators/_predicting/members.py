"""Predictions of each member of an ensemble."""

from torch import Tensor

from sklearnish.data import Features
from sklearnish.training import Net


class Members:
    """Stands for a net before what predicts by it: its outputs are those of each member.

    They are computed in the numbers of the weights, since they are compared with each other.
    """

    def __init__(self, net: Net) -> None:
        self.module_, self.device, self.precision = net.module_, net.device, net.precision

    def infer(self, x: Features) -> Tensor:
        """Compute the outputs of each member: (n, n_members, n_outputs)."""
        outputs: Tensor = self.module_.members(x)
        return outputs
