"""The training loop: skorch's NeuralNet fed by a Loader, with nothing per step but the step."""

import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn

from sklearnish.data._batch import Batch, Features
from sklearnish.training._checkpoint import Checkpoints, Tree, capture, copied, restore
from sklearnish.training._compiled import CompiledStep
from sklearnish.training._descent import Descent
from sklearnish.training._devices import autocast, is_available, weight_dtype
from sklearnish.training._loss import BatchLoss
from sklearnish.training._memory import is_out_of_memory, too_large
from sklearnish.training._optim import make_optimizer
from sklearnish.training._progress import Progress
from sklearnish.training._record import EpochLoss, best_so_far
from sklearnish.training._stopping import EarlyStopping, raised_to_stop

Score = Callable[[Tensor], dict[str, float]]

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end")
_ON_DEVICE = ("module", "criterion", "module_", "criterion_", "optimizer_", "loss_", "descent_")


class Net(NeuralNet):
    """skorch's NeuralNet with dataset, split and iterator replaced, and a thin epoch loop.

    It is given a module and a criterion that are built already, and batches that are on the
    device already. skorch's callback protocol is kept; what it does once a batch, and the
    history of batches, cost something only if a callback asks for them.

    Parameters
    ----------
    module : nn.Module
        The module that is trained, on its device.
    criterion : nn.Module
        The loss.
    lr_schedule : None, "cosine", "onecycle" or scheduler class, default=None
        How the learning rate changes.
    clip_grad_norm : float or None, default=None
        Largest norm of the gradient.
    accumulate_steps : int, default=1
        Batches whose gradients are averaged for one step of the optimizer.
    precision : {"float32", "float64", "bf16", "fp16"}, default="float32"
        In which numbers to compute.
    units : float or Tensor of shape (n_targets,), default=1.0
        What turns a loss into the one reported.
    weighted : bool, default=True
        Whether row weights enter the loss of training; that of validation always has them.
    **kwargs
        As skorch's NeuralNet has them.
    """

    def __init__(
        self,
        module: nn.Module,
        criterion: nn.Module,
        *,
        lr_schedule: Any = None,
        clip_grad_norm: float | None = None,
        accumulate_steps: int = 1,
        precision: str = "float32",
        units: float | Tensor = 1.0,
        weighted: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, criterion, train_split=None, **kwargs)
        self.lr_schedule = lr_schedule
        self.clip_grad_norm = clip_grad_norm
        self.accumulate_steps = accumulate_steps
        self.precision = precision
        self.units = units
        self.weighted = weighted
        self.best_epoch_ = 0
        self.n_outputs_ = 0
        self.losses_ = EpochLoss("training", 0)
        self.begun_: EpochLoss | None = None  # of an epoch that goes on from a checkpoint
        self.kept_: Tree | None = None  # the state after the last complete epoch
        self.hooks_: frozenset[str] = frozenset()

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        """None: the loop records what skorch's defaults would."""
        return []

    # Set-up

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> "Net":
        """Build the optimizer and what takes its steps."""
        (groups,), options = self.get_params_for_optimizer(
            "optimizer", self.get_all_learnable_params()
        )
        self.optimizer_ = make_optimizer(self.optimizer, groups, options)
        half = self.precision == "fp16"
        self.descent_ = Descent(
            self.optimizer_,
            clip=self.clip_grad_norm,
            accumulate=self.accumulate_steps,
            scaler=torch.amp.GradScaler(torch.device(self.device).type) if half else None,
        )
        self.loss_ = BatchLoss(self.criterion_, self.units)
        self.compiled_ = CompiledStep() if self.compile else None
        return self

    def torch_compile(self, module: Any, name: str) -> Any:
        """Leave the module as it is: the step is compiled, not what it consists of."""
        return module

    # One fit

    def train(
        self,
        batches: Iterable[Batch],
        *,
        epochs: int,
        steps_per_epoch: int,
        n_rows: int = 0,
        valid: Sequence[Batch] | None = None,
        score: Score | None = None,
        stopping: EarlyStopping | None = None,
        monitor: str = "valid_loss",
        wait: Callable[[], float] = lambda: 0.0,
        dataset: Any = None,
        open_ended: bool = False,
        checkpoints: Checkpoints | None = None,
    ) -> "Net":
        """Train for some epochs, or until `stopping` ends it; leave the module in eval mode.

        Each iteration over `batches` is an epoch. `score` is given the outputs for the
        validation rows and returns further records of the epoch. `wait` tells how many seconds
        the last epoch waited for data. `open_ended` training has no known length: the schedules
        over all steps leave the learning rate as it is.
        `checkpoints` say how much of it was done before; what follows is saved there.
        """
        steps = epochs * -(-steps_per_epoch // self.accumulate_steps)
        self.descent_.start(self.lr_schedule, None if open_ended else max(1, steps))
        checkpoints = checkpoints or Checkpoints(None)
        self.hooks_ = self._hooks()
        on_epoch = {"dataset_train": dataset, "dataset_valid": valid}
        self.notify("on_train_begin", X=dataset, y=None)
        checkpoints.restore(self, stopping)
        self.kept_ = None
        if self.history and not checkpoints.batches:
            self._keep()
        with Progress(epochs, n_rows, self.verbose, wait) as progress:
            for epoch in range(checkpoints.epochs + 1, epochs + 1):
                self.notify("on_epoch_begin", **on_epoch)
                watched = checkpoints.watch(progress.watch(batches), self, stopping)
                self._epoch(watched, valid, score, wait)
                progress.epoch(self.history[-1])
                if self._stops(stopping, monitor, on_epoch):
                    break
                self._keep()
                if epoch < epochs:
                    checkpoints.end_epoch(self, stopping)
        self.best_epoch_ = len(self.history)
        if stopping is not None:
            self.best_epoch_ = stopping.restore(self.module_)
        self._set_training(False)
        self.notify("on_train_end", X=dataset, y=None)
        # A callback may have loaded a checkpoint, the history up to its epoch included.
        self.best_epoch_ = min(self.best_epoch_, len(self.history))
        return self

    def _keep(self) -> None:
        """Copy the state after an epoch, for the case that the next one is not completed."""
        self.kept_ = copied(capture(self, None, 0))

    def go_back(self) -> bool:
        """Return to the last complete epoch; False if there is none in memory."""
        kept, self.kept_ = self.kept_, None
        if kept is None:
            return False
        restore(self, None, kept)
        self.best_epoch_ = len(self.history)
        self._set_training(False)
        return True

    def _epoch(
        self,
        batches: Iterable[Batch],
        valid: Sequence[Batch] | None,
        score: Score | None,
        wait: Callable[[], float],
    ) -> None:
        """Run one epoch and record it."""
        start = time.perf_counter()
        self.run_single_epoch(batches, True, "train", self.train_step)
        waited = wait()
        if valid is not None:
            outputs: list[Tensor] | None = [] if score else None
            self.run_single_epoch(valid, False, "valid", self.validation_step, outputs=outputs)
            if score is not None and outputs is not None:
                self._record(score(torch.cat(outputs)))
        self._record(best_so_far(self.history.to_list()))
        self._record({"dur": time.perf_counter() - start, "lr": self.losses_.lr, "wait": waited})
        if self.descent_.schedule is not None:
            last = self.history[-1]
            self.descent_.schedule.epoch(last.get("valid_loss", last["train_loss"]))

    def _record(self, values: Mapping[str, float]) -> None:
        """Write numbers of the epoch to the history."""
        for name, value in values.items():
            self.history.record(name, value)

    def _stops(
        self, stopping: EarlyStopping | None, monitor: str, on_epoch: dict[str, Any]
    ) -> bool:
        """Ask the stopping rule and the callbacks; skorch's stop by KeyboardInterrupt."""
        record = self.history[-1]
        stop = stopping is not None and stopping.update(
            record[monitor], record["epoch"], self.module_
        )
        self.on_epoch_end(self, **on_epoch)
        for _, callback in self.callbacks_:
            try:
                callback.on_epoch_end(self, **on_epoch)
            except KeyboardInterrupt as interrupt:
                if not raised_to_stop(interrupt):
                    raise
                stop = True
            except KeyError as error:
                if "valid_" not in str(error) or "valid_loss" in record:
                    raise
                raise _unvalidated(callback, error) from error
        return stop

    # One epoch

    def run_single_epoch(
        self,
        iterator: Iterable[Batch],
        training: bool,
        prefix: str,
        step_fn: Callable[[Batch], dict[str, Any]],
        *,
        outputs: list[Tensor] | None = None,
    ) -> None:
        """Take all steps of an epoch; the losses stay on the device until its end."""
        self._set_training(training)
        per_batch = not self.hooks_.isdisjoint(_BATCH_HOOKS)
        kind = "training" if training else "validation"
        descent = self.descent_
        losses = EpochLoss(kind, self.history[-1]["epoch"], descent.lr)
        if training:
            losses = self.losses_ = self.begun_ or losses
            self.begun_ = None
        if training and self.compiled_ is not None:
            self.compiled_.begin_epoch(self)
        for batch in iterator:
            if per_batch:
                self._begin_batch(batch, training)
            step = step_fn(batch)
            losses.append(step["loss"], step["size"], descent.lr)
            if outputs is not None:
                outputs.append(step["y_pred"])
            if per_batch:
                self._end_batch(batch, training, prefix, step)
        if training:
            descent.finish()
        if self.callbacks_ and not per_batch and losses.count:
            self.history.new_batch()  # the last one of an epoch, as Checkpoint names files by it
            self._record_batch(batch, prefix, step)
        self.history.record(f"{prefix}_loss", self.loss_.report(losses.mean(descent.lr)))

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Take one step of the optimizer (every so many batches, if they accumulate)."""
        try:
            step = self.train_step_single(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise too_large(self, batch, error) from error
        if "on_grad_computed" in self.hooks_:
            parameters = list(self.get_all_learnable_params())
            self.notify(
                "on_grad_computed", named_parameters=parameters, batch=batch[:2], training=True
            )
        self.descent_.step()
        return step

    def train_step_single(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute the gradients of one batch."""
        if not self.weighted:  # rows drawn by their weights are not weighed again
            batch = Batch(batch.X, batch.y)
        step = self.compiled_(self, batch) if self.compiled_ is not None else None
        return self._eager_step(batch) if step is None else step

    def _eager_step(self, batch: Batch) -> dict[str, Any]:
        """Compute the gradients of one batch, operation by operation."""
        y_pred = self.infer(batch.X)
        loss, reported, size = self.loss_(y_pred, batch)
        self.descent_.backward(loss, size)
        return {"loss": reported, "y_pred": y_pred, "size": size}

    @torch.inference_mode()
    def validation_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute outputs and loss of one batch."""
        y_pred = self.infer(batch.X)
        _, reported, size = self.loss_(y_pred, batch)
        return {"loss": reported, "y_pred": y_pred, "size": size}

    def infer(self, x: Features, **fit_params: Any) -> Tensor:
        """Compute the module's outputs for features that are on the device."""
        if self.precision in ("float32", "float64"):
            return self._forward(x)
        with autocast(self.precision, torch.device(self.device)):
            return self._forward(x).float()

    def _forward(self, x: Features) -> Tensor:
        """Call the module; images become floating point here, on the device."""
        if isinstance(x, dict):
            return self.module_(**x)  # type: ignore[no-any-return]
        if x.dtype is torch.uint8:
            x = x.to(weight_dtype(self.precision))
        return self.module_(x)  # type: ignore[no-any-return]

    # What callbacks see once a batch

    def _hooks(self) -> frozenset[str]:
        """Name the hooks of a batch that some callback defines."""
        return frozenset(
            name
            for name in (*_BATCH_HOOKS, "on_grad_computed")
            for _, callback in self.callbacks_
            if getattr(type(callback), name) is not getattr(Callback, name)
        )

    def _begin_batch(self, batch: Batch, training: bool) -> None:
        """Tell callbacks of a batch; one of them may have left the module in another mode."""
        if self.module_.training is not training:
            self._set_training(training)
        self.notify("on_batch_begin", batch=batch[:2], training=training)

    def _end_batch(self, batch: Batch, training: bool, prefix: str, step: dict[str, Any]) -> None:
        """Record a batch and tell callbacks."""
        self._record_batch(batch, prefix, step)
        self.notify(
            "on_batch_end",
            batch=batch[:2],
            training=training,
            loss=step["loss"],
            y_pred=step["y_pred"],
        )

    def _record_batch(self, batch: Batch, prefix: str, step: dict[str, Any]) -> None:
        """Write a batch's record, which waits for the device."""
        self.history.record_batch(f"{prefix}_loss", self.loss_.report(step["loss"].item()))
        self.history.record_batch(f"{prefix}_batch_size", len(batch))

    # What callbacks may ask for

    def forward_iter(self, X: Any, training: bool = False, device: str = "cpu") -> Iterator[Tensor]:
        """Yield outputs for batches, as skorch's scoring callbacks ask for them."""
        self._set_training(training)
        for batch in X if isinstance(X, list) else [Batch(self._to_tensor(X))]:
            with torch.set_grad_enabled(training):
                yield self.infer(batch.X).detach().to(device)

    def _to_tensor(self, X: Any) -> Tensor:
        """Bring an array to the device."""
        return torch.as_tensor(np.asarray(X)).to(self.device, weight_dtype(self.precision))

    # Pickling

    def __getstate__(self) -> dict[str, Any]:
        """Move what is on another device to the CPU, where it can be loaded anywhere."""
        state = self.__dict__.copy()
        if torch.device(self.device).type != "cpu":
            parts = {name: state[name] for name in _ON_DEVICE if name in state}
            buffer = io.BytesIO()
            torch.save(parts, buffer)
            buffer.seek(0)
            state |= torch.load(buffer, map_location="cpu", weights_only=False)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go back to the device, if there is one here."""
        self.__dict__.update(state)
        device = torch.device(self.device)
        self.__dict__["device"] = device if is_available(device) else torch.device("cpu")
        if torch.device(self.device).type != "cpu" and "module_" in state:
            self.module_.to(self.device)
            self.criterion_.to(self.device)
            self.optimizer_.load_state_dict(self.optimizer_.state_dict())


def _unvalidated(callback: Callback, error: KeyError) -> ValueError:
    """Make the error for a callback that looks for what only validation rows give."""
    return ValueError(
        f"Callback {type(callback).__name__} found no validation loss ({error.args[0]}) Pass X_val "
        "and y_val to fit, or set early_stopping=True, which holds rows out and stops by itself; "
        "or let the callback monitor 'train_loss'."
    )
