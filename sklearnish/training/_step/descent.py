"""From a loss to changed weights: scaling, accumulation, clipping, step, schedule."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from sklearnish.training._step.average import WeightAverage
from sklearnish.training._step.gradient_sum import GradientSum
from sklearnish.training._step.optimizers import Schedule, make_schedule, take_step
from sklearnish.training._world import ALONE, World


@dataclass(eq=False, repr=False)
class Descent:
    """Takes the optimizer's steps.

    With ``accumulate`` of k, the gradients of k batches are averaged over their rows (or
    weights), so that a step is that of one batch k times as large. Those of the processes of a
    ``world`` are averaged likewise: a batch is what they have of it together.
    """

    optimizer: Optimizer
    _: KW_ONLY
    clip: float | None = None
    accumulate: int = 1
    scaler: torch.amp.GradScaler | None = None
    average_weights: float | None = None
    schedule: Schedule | None = field(default=None, init=False)
    world: World = field(default=ALONE, init=False)
    riders: Tensor | None = field(default=None, init=False)
    computed: Callable[[], None] | None = field(default=None, init=False)  # told of gradients

    def __post_init__(self) -> None:
        """Begin without gradients."""
        self._options = [_options_of(group) for group in self.optimizer.param_groups]
        self._pending, self._size = 0, cast(Any, 0)
        self.average: WeightAverage | None = None
        if self.average_weights is not None:
            self.average = WeightAverage(self._parameters(), self.average_weights)
        self._steps: int | None = None
        self._sum: GradientSum | None = None
        self.optimizer.zero_grad(set_to_none=True)

    def join(self, world: World) -> None:
        """Average gradients over the processes of a world from now on.

        Those that wait, of a checkpoint that each of them was given, are left to the first.
        """
        self.world, self.riders, self.computed = world, None, None
        self._sum = GradientSum(world, self._parameters()) if world.size > 1 else None
        if not world.is_first and self._pending:
            self._size = 0
            self.optimizer.zero_grad(set_to_none=True)

    def start(self, schedule: Any, steps: int | None) -> None:
        """Begin a schedule over all steps from the full learning rate; go on with any other.

        Where the number of steps is not known, the former leave the learning rate as it is.
        """
        self._steps = steps
        if self.average is not None:
            self.average.start()
        over_all = isinstance(schedule, str)
        if over_all:
            self._reset_options()
            self.schedule = None
        if self.schedule is None and not (over_all and steps is None):
            self.schedule = make_schedule(schedule, self.optimizer, steps or 1)

    def _reset_options(self) -> None:
        """Put back the learning rate, and what else a schedule may have changed."""
        for group, options in zip(self.optimizer.param_groups, self._options, strict=True):
            parameters = group["params"]
            group.clear()
            group.update(options, params=parameters)

    def multiply_lr(self, factor: float) -> None:
        """Multiply the learning rate of all groups, also of those that a schedule begins from."""
        for options in (*self.optimizer.param_groups, *self._options):
            for name in {"lr", "initial_lr"} & set(options):
                options[name] = options[name] * factor

    def backward(self, loss: Tensor, size: int | Tensor) -> None:
        """Add the gradients of a batch."""
        if self._averages:
            loss = loss * size
            self._count(size)
        if self.scaler is not None:
            loss = self.scaler.scale(loss)
        loss.backward()  # type: ignore[no-untyped-call]

    def receive(
        self,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        size: int | Tensor,
        factor: float | Tensor | None = None,
    ) -> None:
        """Add the gradients of a batch that were computed already; None where there is none.

        Multiplied by a `factor`, `size` if it is None, they are sums over rows.
        """
        if self._averages:
            factor = size if factor is None else factor
            gradients = [None if gradient is None else gradient * factor for gradient in gradients]
            self._count(size)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None and parameter.grad is not None:
                gradient = parameter.grad + gradient
            parameter.grad = parameter.grad if gradient is None else gradient

    @property
    def _averages(self) -> bool:
        """Whether a step is made of several gradients."""
        return self.accumulate > 1 or self.world.size > 1

    def _count(self, size: int | Tensor) -> None:
        """Note a batch whose gradients wait for others."""
        self._pending += 1
        self._size = self._size + size

    @property
    def will_step(self) -> bool:
        """Whether enough batches have been seen to change the weights."""
        return self._pending >= self.accumulate or not self._averages

    def step(self) -> None:
        """Change the weights, if enough batches have been seen."""
        if self.will_step:
            self._step()

    def is_whole(self) -> bool:
        """Say whether no gradients wait in other processes for those of more batches."""
        return self.world.size == 1 or not self._pending

    def finish(self) -> None:
        """Use what is left of an epoch whose batches do not fill the last step."""
        if self._pending:
            self._step()

    @property
    def lr(self) -> float:
        """Learning rate of the first group of weights."""
        return float(self.optimizer.param_groups[0]["lr"])

    def _step(self) -> None:
        """Take one step, and forget the gradients."""
        if self._pending:
            self._average()
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        if self.computed is not None:
            self.computed()
            self.computed = None
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters(), self.clip)
        if self.scaler is not None:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            take_step(self.optimizer)
        for parameter in self._parameters():
            parameter.grad = None  # zero_grad does it too, and records it for a profiler
        if self.schedule is not None:
            self.schedule.step()
        if self.average is not None:
            self.average.update()

    def exchange(self) -> None:
        """Put averaged weights in the place of those of the last step, or back."""
        if self.average is not None:
            self.average.exchange()

    def _average(self) -> None:
        """Divide the summed gradients by the rows behind them."""
        if self._sum is not None:
            self._size, self.riders = self._of_all(self._sum)
        for parameter in self._parameters():
            if parameter.grad is not None:
                parameter.grad.div_(self._size)
        self._pending, self._size = 0, 0

    def _of_all(self, add_up: GradientSum) -> tuple[Tensor, Tensor]:
        """Add up the gradients of all processes, the sizes, and the riders."""
        riders = torch.empty(0) if self.riders is None else self.riders
        size = torch.as_tensor(self._size, dtype=torch.float64, device=riders.device).view(1)
        sums = add_up(torch.cat([size, riders.double()]))
        return sums[0], sums[1:]

    def _parameters(self) -> list[Tensor]:
        """List the weights."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """Return optimizer, schedule, scaler, and the gradients that wait for others."""
        waiting = self._parameters() if self._pending else []
        return {
            "steps": self._steps,
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "pending": self._pending,
            "size": self._size,
            "gradients": [parameter.grad for parameter in waiting],
        }

    def load_state_dict(self, schedule: Any, state: dict[str, Any]) -> None:
        """Go on from such a state, by the same schedule."""
        self.start(schedule, state["steps"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        self._pending, size = state["pending"], state["size"]
        device = self._parameters()[0].device
        self._size = size.to(device) if isinstance(size, Tensor) else size
        waiting = self._parameters() if self._pending else []
        for parameter, gradient in zip(waiting, state["gradients"], strict=True):
            parameter.grad = None if gradient is None else gradient.to(parameter.device)


def _options_of(group: dict[str, Any]) -> dict[str, Any]:
    """Copy the options of a group of weights."""
    return {name: value for name, value in group.items() if name != "params"}
