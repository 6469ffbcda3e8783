"""Forward, loss and gradients of a batch as one compiled call."""

import random
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from sklearnish.data import Batch, each, tensors_of, warn
from sklearnish.training._step.step import Step
from sklearnish.training._synchronised import batch_norms

Graph = Callable[..., Any]
_COMMON = 100
"""Batches of a further shape before it is compiled too: until then it is computed eagerly."""

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_post_accumulate_grad_hooks",
)


class CompiledStep:
    """Computes losses and gradients by a graph for each shape of batch that is common.

    Tracing fixes what Python decides. So the graphs are built anew when something changed that
    it may have looked at, and what changes with every call is computed eagerly, with a warning.
    """

    def __init__(self) -> None:
        self._graphs: dict[Any, Graph] = {}
        self._met: Counter[str] = Counter()
        self._known: set[str] = set()  # compiled before a checkpoint
        self._facts: Any = None
        self._refused = False

    def __reduce__(self) -> Any:
        """Leave the graphs behind."""
        return CompiledStep, ()

    def begin_epoch(self, step: Step) -> None:
        """Forget the graphs if modules or threads are not as they were when traced."""
        facts = _facts(step)
        if self._facts is not None and facts != self._facts:
            self._graphs, self._met, self._known = {}, Counter(), set()
        self._facts = facts
        self.tensors = list(_Parts(step).named_tensors().values())
        self._parameters = [tensor for tensor in self.tensors if tensor.requires_grad]

    def state_dict(self) -> dict[str, Any]:
        """Return which shapes are compiled, or nearly: that may round in another way."""
        compiled = sorted({*map(repr, self._graphs), *self._known})
        return {"refused": self._refused, "met": dict(self._met), "compiled": compiled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a state; a shape is compiled again when it comes."""
        self._refused, self._known = state["refused"], set(state["compiled"])
        self._met = Counter(state["met"])

    def __call__(self, step: Step, batch: Batch) -> dict[str, Any] | None:
        """Compute loss and outputs and hand over the gradients; None if that must be eager."""
        leaves = tensors_of(batch)
        key = tuple((leaf.shape, leaf.stride(), leaf.dtype) for leaf in leaves)
        graph = self._graphs.get(key) or self._new_graph(step, batch, key)
        if graph is None:
            return None
        if leaves[0].is_cuda:  # what the last replay gave may be written over
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            reported, y_pred, size, *gradients = graph(*self.tensors, *leaves)
        size = len(batch) if batch.weight is None else size
        if reported.is_cuda:  # but losses and weights are kept until the end of the epoch
            reported = reported.clone()
            size = size.clone() if isinstance(size, Tensor) else size
        step.descent.receive(self._parameters, gradients, size)
        return {"loss": reported, "y_pred": y_pred, "size": size}

    def _new_graph(self, step: Step, batch: Batch, key: Any) -> Graph | None:
        """Compile the first shape at once, others when they are common."""
        name = repr(key)
        self._met[name] += 1
        first = not self._graphs and not self._known
        common = self._met[name] >= _COMMON or name in self._known
        if self._refused or not (first or common):
            return None
        try:
            self._graphs[key] = _compile(step, batch, self.tensors)
        except Exception as error:  # whatever the tracer, the compiler or the module raises
            self._refused = True
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            warn(
                f"compile=True was ignored: the training step of {type(step.module).__name__} "
                f"could not be compiled ({reason}). Training continues uncompiled.",
                UserWarning,
            )
        return self._graphs.get(key)


class _Parts(nn.Module):
    """All that has weights or buffers, as one module whose tensors can be put in for a call."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.module, self.criterion = step.module, step.criterion

    def named_tensors(self) -> dict[str, Tensor]:
        """Name parameters and buffers, in the order of a graph's inputs."""
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def forward(self, step: Step, batch: Batch) -> tuple[Any, ...]:
        """Compute what a step does; buffers must be changed in place to be seen."""
        before = list(self.buffers())
        y_pred = step.infer(batch.X)
        losses = step.loss(y_pred, batch)
        if any(a is not b for a, b in zip(before, self.buffers(), strict=True)):
            raise ValueError("forward assigns to a buffer; let it change the buffer in place.")
        return (y_pred, *losses)


def _compile(step: Step, batch: Batch, tensors: list[Tensor]) -> Graph:
    """Trace a step for batches like this one, and compile the graph."""
    from torch.fx.experimental.proxy_tensor import make_fx

    _check(step)
    parts, leaves = _Parts(step), tensors_of(batch)
    names = list(parts.named_tensors())
    trained = [tensor.requires_grad for tensor in tensors]

    @torch.enable_grad()
    def traced(*args: Tensor) -> list[Tensor | None]:
        inputs = [a.detach() for a in args[: len(names)]]
        wanted = [a.requires_grad_() for a, train in zip(inputs, trained, strict=True) if train]
        rows = iter(args[len(names) :])
        given = each(lambda _: next(rows), batch)
        y_pred, loss, reported, size = functional_call(
            parts, dict(zip(names, inputs, strict=True)), (step, given)
        )
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
        size = size if isinstance(size, Tensor) else reported
        return [reported.detach(), y_pred.detach(), size, *gradients]

    before = _drawn(), _facts(step)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's compiler warns of torch
        examples: list[Any] = [*(tensor.detach() for tensor in tensors), *leaves]
        graph = make_fx(traced, tracing_mode="fake", _allow_non_fake_inputs=True)(*examples)
        if (_drawn(), _facts(step)) != before:
            raise ValueError("forward changes something with each call besides its buffers.")
        # The generators are drawn from as without compiling, so that results are the same.
        options = {"fallback_random": True, "triton.cudagraphs": leaves[0].is_cuda}
        compiled: Graph = torch._inductor.compile(graph, examples, options)
    return compiled


def _check(step: Step) -> None:
    """Refuse what a graph would leave out."""
    if step.precision == "fp16":
        raise ValueError("precision='fp16' scales the loss by what the last steps gave.")
    parts = _Parts(step)
    if step.normalising.size > 1 and batch_norms(step.module):
        raise ValueError("sync_batch_norm=True lets its layers talk to other processes.")
    for part in (*parts.modules(), *parts.parameters()):
        if any(getattr(part, name, None) for name in _HOOKS):
            raise ValueError(
                f"{type(part).__name__} has hooks, which a compiled step would not call."
            )


def _facts(step: Step) -> Any:
    """Collect what Python code in a module may decide by: modes, numbers, names and lengths."""
    parts = _Parts(step)
    weights = [
        (weight.requires_grad, *(len(getattr(weight, name, None) or ()) for name in _HOOKS))
        for weight in parts.parameters()
    ]
    return torch.get_num_threads(), weights, [_plain(module) for module in parts.modules()]


def _plain(module: nn.Module) -> dict[str, Any]:
    """Copy the plain attributes of a module, and how long its containers are."""
    kept: dict[str, Any] = {}
    for name, value in vars(module).items():
        if isinstance(value, bool | int | float | str | None):
            kept[name] = value
        elif isinstance(value, list | dict | set):
            kept[name] = len(value)
    return kept


def _drawn() -> Any:
    """Copy the state of the generators that a graph does not draw from."""
    numpy = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    return random.getstate(), bytes(numpy["key"]), numpy["pos"]
