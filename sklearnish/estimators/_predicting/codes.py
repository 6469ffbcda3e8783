"""Codes of rows, rows of codes, and what is lost on the way: what a trained net is asked for."""

from typing import Any

import torch
from torch import Tensor

from sklearnish.data import Batch
from sklearnish.estimators._fitting.sizes import batch_rows
from sklearnish.estimators._predicting.answers import Array, answers, collect
from sklearnish.training import ModuleFunction, ReconstructionNet, copied_modules


class RowLosses:
    """Stands for a net before what predicts by it: its outputs are the losses of rows."""

    def __init__(self, net: ReconstructionNet) -> None:
        self.module_, self.device, self.precision = net.module_, net.device, net.precision
        self.infer = net.row_losses


def function_of(
    net: ReconstructionNet, method: str, device: torch.device, **shapes: Any
) -> ModuleFunction:
    """Return a method of the module of a net, on the device of the net or on another one."""
    module = net.module_
    if torch.device(net.device).type != device.type:
        module = copied_modules(module)[0].to(device)
    return ModuleFunction(module, method, net.precision, device, **shapes)


def decoded(decode: Any, codes: Array, wanted: int | str) -> Array:
    """Make rows of codes in memory."""
    size = batch_rows(codes[0].nbytes, wanted)
    parts = (codes[start : start + size] for start in range(0, len(codes), size))
    batches = (Batch(torch.tensor(part, device=decode.device)) for part in parts)
    return collect(len(codes), answers(decode, Tensor.numpy, batches, wanted))
