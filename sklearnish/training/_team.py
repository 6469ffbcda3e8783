"""A net of which several processes each train a copy: what keeps the copies equal."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sklearnish.data import Batch
from sklearnish.training._checks import check_apart, check_row_mean
from sklearnish.training._world import ALONE, World

_FEWEST = 4
"""Rows on which a criterion can be judged."""


class Team:
    """Lets the copies of a net take the same steps; one that is alone costs nothing.

    The first process alone has callbacks. What they may change in its net, the others take over:
    weights, numbers that the optimizer is given, and which weights are frozen.

    Parameters
    ----------
    world : World, default=ALONE
        The processes.
    drawn : callable, default=None
        Returns how many rows the order of the last epoch had, and a hash of it.
    """

    def __init__(
        self, world: World = ALONE, drawn: Callable[[], tuple[int, int]] | None = None
    ) -> None:
        self.world = world
        self._drawn = drawn
        self._seen: Any = 0.0
        self._led = self._led_in_steps = self._rides = self._judged = False

    def begin(self, net: Any, hooks_of_steps: bool) -> None:
        """Begin with the weights of the first, and with other random numbers for each."""
        if self.world.size == 1:
            return
        check_row_mean(net.criterion_)
        net.descent_.join(self.world)
        self._led = bool(self.world.same(bool(net.callbacks_)))
        self._led_in_steps = bool(self.world.same(hooks_of_steps))
        self.world.follow(_tensors(net))
        self.follow(net)
        self.world.part_generators(torch.device(net.device))

    def note(self, net: Any, step: dict[str, Any], batch: Batch) -> None:
        """Let loss and size travel with the gradients, if those travel now."""
        if self.world.size > 1:
            self._judge(net, step, batch)
            net.descent_.riders = self._told(step, batch)
            self._rides = net.descent_.will_step

    def step(
        self, net: Any, step: dict[str, Any], batch: Batch, *, training: bool
    ) -> dict[str, Any]:
        """Return loss and size of the whole batch, of which each process computed its part."""
        if self.world.size == 1:
            return step
        told, self._rides, rode = net.descent_.riders, False, self._rides
        if not rode:
            told = self._told(step, batch)
            self.world.add_up([told])
        if training:
            self._seen = self._seen + told[2]
        if self._led_in_steps:
            self.follow(net)
        return step | {"loss": told[0] / told[1], "size": told[1]}

    def _judge(self, net: Any, step: dict[str, Any], batch: Batch) -> None:
        """Look at the criterion once; where rows are weighted, it is asked for each row anyway."""
        weighted = net.weighted and batch.weight is not None
        if not self._judged and not weighted and len(batch) >= _FEWEST and batch.y is not None:
            self._judged = True
            check_apart(net.step_.loss, step["y_pred"], batch.y)

    def _told(self, step: dict[str, Any], batch: Batch) -> Tensor:
        """Return what the others have to know of a batch."""
        loss, size = step["loss"], step["size"]
        told = torch.zeros(3, dtype=torch.float64, device=loss.device)
        # Without rows it is a sum, of nothing or of a penalty.
        told[0], told[1], told[2] = loss * size if len(batch) else loss, size, len(batch)
        return told

    def outputs(self, parts: Sequence[Tensor]) -> Tensor:
        """Join outputs for validation rows; with callbacks, each process has all of them."""
        own = torch.cat(list(parts))
        return own if self._led else self.world.rows_of_all(own)

    def end_pass(self, net: Any) -> None:
        """Average statistics; see to it that every row was trained on.

        Raises
        ------
        RuntimeError
            If the processes together had more or fewer rows than the epoch, or other ones.
        """
        if self.world.size == 1:
            return
        self.world.average(net.module_)
        seen, self._seen = int(self._seen), 0.0
        if self._drawn is None:
            return
        first, *_ = orders = self.world.numbers_of_all(self._drawn())
        if seen != first[0] or any(order != first for order in orders):
            raise RuntimeError(
                f"The {self.world.size} processes of this fit trained on {seen} rows together; the "
                f"epoch has {first[0]:.0f}, in an order that must be the same in each of them. A "
                "sampler that draws at random must draw the same everywhere: let it take an "
                "argument rng, and draw with that."
            )

    def follow(self, net: Any) -> None:
        """Take over what callbacks of the first process may have changed."""
        if not self._led:
            return
        weights, options = _tensors(net), _options(net.optimizer_)
        learning = [float(weight.requires_grad) for weight in weights]
        given = [float(group[name]) for group, name in options]
        told = torch.tensor([*given, *learning], dtype=torch.float64, device=self.world.device)
        self.world.follow([*weights, told])
        numbers = told.tolist()
        for (group, name), number in zip(options, numbers, strict=False):
            if group[name] != number:
                group[name] = number
        for weight, learns in zip(weights, numbers[len(options) :], strict=True):
            if weight.is_leaf and weight.requires_grad != bool(learns):
                weight.requires_grad_(bool(learns))

    def agree(self, stop: bool) -> bool:
        """Return whether the first process stops."""
        return bool(self.world.same(stop)) if self.world.size > 1 else stop

    def end(self, net: Any) -> None:
        """Let the net be alone again."""
        net.descent_.join(ALONE)


def _options(optimizer: Any) -> list[tuple[dict[str, Any], str]]:
    """List groups of weights, each with the names of numbers by which it is optimized."""
    names = [name for name, value in optimizer.defaults.items() if type(value) in (int, float)]
    return [(group, name) for group in optimizer.param_groups for name in names]


def _tensors(net: Any) -> list[Tensor]:
    """List weights and buffers."""
    parts = (net.module_, net.criterion_)
    return [t for part in parts for t in (*part.parameters(), *part.buffers())]
