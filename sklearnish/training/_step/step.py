"""One step but the change of weights: outputs, loss and gradients of a batch."""

import math
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from sklearnish.data import Batch, Features, each
from sklearnish.training._step.descent import Descent
from sklearnish.training._step.loss import BatchLoss
from sklearnish.training._step.precision import as_taken, autocast
from sklearnish.training._synchronised import batch_norms, whole_batches
from sklearnish.training._world import ALONE, World


@dataclass(eq=False, repr=False)
class Step:
    """Computes outputs and losses, and hands the gradients to `descent`.

    Parameters
    ----------
    module, criterion : nn.Module
        What is trained, and the loss.
    descent : Descent
        What takes the gradients.
    units : float or Tensor of shape (n_targets,)
        What turns a loss into the one reported.
    precision : {"float32", "float64", "bf16", "fp16"}
        In which numbers to compute.
    device : torch.device
        Where module and batches are.
    n_outputs : int
        Width of the outputs.
    """

    module: nn.Module
    criterion: nn.Module
    descent: Descent
    _: KW_ONLY
    units: float | Tensor
    precision: str
    device: torch.device
    n_outputs: int
    normalising: World = field(default=ALONE, init=False)  # by whose rows layers normalise

    def __post_init__(self) -> None:
        """Build the loss; its units lie on the device, since to move them a step would wait."""
        apart = getattr(self.module, "members_apart", False)
        units = self.units.to(self.device) if isinstance(self.units, Tensor) else self.units
        self.loss = BatchLoss(self.criterion, units, apart=apart)

    def train(self, batch: Batch) -> dict[str, Any]:
        """Compute the gradients of one batch, operation by operation."""
        if hasattr(self.module, "gradient") and hasattr(self.criterion, "residual"):
            return self._written_out(batch)
        if self.normalising.size == 1:
            return self._by_autograd(batch)
        with whole_batches(self.module, self.normalising):
            return self._by_autograd(batch)

    def _by_autograd(self, batch: Batch) -> dict[str, Any]:
        """Compute the gradients of any module and criterion."""
        y_pred = self.infer(batch.X)
        loss, reported, size = self.loss(y_pred, batch)
        self.descent.backward(loss, size)
        return {"loss": reported, "y_pred": y_pred, "size": size}

    @torch.no_grad()
    def _written_out(self, batch: Batch) -> dict[str, Any]:
        """Ask criterion and module for the gradient, which they have written out."""
        module: Any = self.module
        criterion: Any = self.criterion
        assert isinstance(batch.X, Tensor)
        values = module.values(as_taken(batch.X, self.precision))
        _, reported, size = self.loss(values[-1], batch)
        delta = criterion.residual(values[-1], batch.y)
        if batch.weight is not None:
            delta *= batch.weight.unsqueeze(1)
        number = float(size)
        # Of several processes one adds the penalty, which is that of the whole batch.
        penalised = number if self.descent.world.is_first else math.inf
        gradient = module.gradient(values, delta.div_(number), penalised)
        self.descent.receive([module.packed], [gradient], size)
        return {"loss": reported + module.penalty(penalised), "y_pred": values[-1], "size": size}

    def train_without_rows(self, batch: Batch) -> dict[str, Any]:
        """Stand in for a batch of which other processes have all the rows."""
        step, module = self.without_rows(), cast(Any, self.module)
        if self.normalising.size > 1 and batch_norms(module):
            self._call_layers(batch)
        if not (hasattr(module, "gradient") and self.descent.world.is_first):
            self.descent.receive([], [], 0)
            return step
        with torch.no_grad():  # the penalty alone
            gradient = torch.zeros_like(module.packed)
            module.add_penalty(gradient, 1.0)
            self.descent.receive([module.packed], [gradient], 0, factor=1)
            return step | {"loss": step["loss"] + module.penalty(1.0)}

    def _call_layers(self, batch: Batch) -> None:
        """Meet the others in their layers, with a row that does not count; many take no fewer."""
        row = each(lambda rows: rows.new_zeros(1, *rows.shape[1:]), batch)
        waiting = [(weight, weight.grad) for weight in self.module.parameters()]
        with whole_batches(self.module, self.normalising, counts=False):
            outputs = self.infer(row.X)
            outputs.backward(torch.zeros_like(outputs))  # type: ignore[no-untyped-call]
        for weight, gradient in waiting:
            weight.grad = gradient

    def without_rows(self) -> dict[str, Any]:
        """Return the sum of no losses."""
        nothing = torch.zeros(0, device=self.device)
        return {"loss": nothing.sum(), "y_pred": nothing, "size": 0}

    @torch.inference_mode()
    def validate(self, batch: Batch) -> dict[str, Any]:
        """Compute outputs and loss of one batch."""
        y_pred = self.infer(batch.X)
        _, reported, size = self.loss(y_pred, batch)
        return {"loss": reported, "y_pred": y_pred, "size": size}

    def infer(self, x: Features) -> Tensor:
        """Compute the module's outputs for features that are on the device."""
        if self.precision in ("float32", "float64"):
            return self._forward(x)
        with autocast(self.precision, self.device):
            return self._forward(x).float()

    def _forward(self, x: Features) -> Tensor:
        """Call the module; images become floating point here, on the device."""
        if isinstance(x, dict):
            outputs: Tensor = self.module(**x)
        else:
            casts = getattr(self.module, "casts_inputs", False)
            outputs = self.module(x if casts else as_taken(x, self.precision))
        # A module that squeezes takes the axis of the rows away where there is one row.
        return outputs if outputs.ndim > (self.n_outputs > 1) else outputs.unsqueeze(0)
