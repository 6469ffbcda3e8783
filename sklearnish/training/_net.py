"""The training loop: skorch's NeuralNet fed by a Loader, with nothing per step but the step."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import ClassifierMixin
from skorch.callbacks import Callback
from torch import Tensor, nn

from sklearnish.data import Batch, Features
from sklearnish.training import _callbacks
from sklearnish.training._checkpoints.checkpoints import Checkpoints
from sklearnish.training._checks import no_gradients, one_value_per_channel, warn_of_other_rows
from sklearnish.training._epochs.losses import DivergedError, EpochLoss, best_so_far
from sklearnish.training._epochs.progress import Progress
from sklearnish.training._epochs.stopping import EarlyStopping
from sklearnish.training._process_state import in_turns
from sklearnish.training._stateful_net import StatefulNet
from sklearnish.training._step.compiled import CompiledStep
from sklearnish.training._step.descent import Descent
from sklearnish.training._step.optimizers import make_optimizer
from sklearnish.training._step.out_of_memory import is_out_of_memory, too_large
from sklearnish.training._step.parts import frozen, groups_of, put_in_eval_mode
from sklearnish.training._step.precision import weight_dtype
from sklearnish.training._step.step import Step
from sklearnish.training._team import Team

Score = Callable[[Tensor], dict[str, float]]


class Net(StatefulNet):
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
    lr_schedule : str, scheduler class or None, default=None
        How the learning rate changes.
    clip_grad_norm : float or None, default=None
        Largest norm of the gradient.
    accumulate_steps : int, default=1
        Batches whose gradients are averaged for one step of the optimizer.
    average_weights : float or None, default=None
        Share of the old in a running average of the weights, which replaces them at the end of
        each epoch, for validation, and of the training.
    precision : {"float32", "float64", "bf16", "fp16"}, default="float32"
        In which numbers to compute.
    units : float or Tensor of shape (n_targets,), default=1.0
        What turns a loss into the one reported.
    weighted : bool, default=True
        Whether row weights enter the loss of training; that of validation always has them.
    freeze : sequence of str, default=()
        Names of weights and layers that training leaves as they are, statistics included.
    lr_factors : dict of str to float or None, default=None
        Names of weights and layers, and by what their learning rate is multiplied.
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
        average_weights: float | None = None,
        precision: str = "float32",
        units: float | Tensor = 1.0,
        weighted: bool = True,
        freeze: Sequence[str] = (),
        lr_factors: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, criterion, train_split=None, **kwargs)
        self.lr_schedule = lr_schedule
        self.clip_grad_norm = clip_grad_norm
        self.accumulate_steps = accumulate_steps
        self.average_weights = average_weights
        self.precision = precision
        self.units = units
        self.weighted = weighted
        self.freeze = freeze
        self.lr_factors = lr_factors
        self.best_epoch_ = 0
        self.n_outputs_ = 0
        self.losses_ = EpochLoss("training", 0)
        self.begun_ = self.kept_ = None
        self.team_ = Team()
        self.hooks_: frozenset[str] = frozenset()

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        """None: the loop records what skorch's defaults would."""
        return []

    # Set-up

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> "Net":
        """Build the optimizer and what takes its steps."""
        named = list(self.get_all_learnable_params())
        (groups,), options = self.get_params_for_optimizer("optimizer", iter(named))
        if self.lr_factors:
            groups = groups_of(self.module_, [weight for _, weight in named], self.lr_factors)
        self.optimizer_ = make_optimizer(self.optimizer, groups, options)
        half = self.precision == "fp16"
        self.descent_ = Descent(
            self.optimizer_,
            clip=self.clip_grad_norm,
            accumulate=self.accumulate_steps,
            average_weights=self.average_weights,
            scaler=torch.amp.GradScaler(torch.device(self.device).type) if half else None,
        )
        self.step_ = Step(
            self.module_,
            self.criterion_,
            self.descent_,
            units=self.units,
            precision=self.precision,
            device=torch.device(self.device),
            n_outputs=self.n_outputs_,
        )
        self.compiled_ = CompiledStep() if self.compile else None
        return self

    def _set_training(self, training: bool = True) -> None:
        """Put the module in training or eval mode; what is frozen stays in the latter."""
        super()._set_training(training)
        if training:
            put_in_eval_mode(self.module_, self.freeze)

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
        begin_epoch: Callable[[], None] = lambda: None,
        end_epoch: Callable[[], bool] = lambda: False,
        team: Team | None = None,
    ) -> "Net":
        """Train for some epochs, or until `stopping` ends it; leave the module in eval mode.

        Each iteration over `batches` is an epoch. `score` is given the outputs for the
        validation rows and returns further records of the epoch. `wait` tells how many seconds
        the last epoch waited for data. `open_ended` training has no known length: the schedules
        over all steps leave the learning rate as it is. `checkpoints` say how much of it was done
        before; what follows is saved there. `begin_epoch` and `end_epoch` are called once an
        epoch; if the latter returns True, it is the last. Each of a `team` has a part of a batch.
        """
        self.team_ = team = team or Team()
        steps = epochs * -(-steps_per_epoch // self.accumulate_steps)
        self.descent_.start(self.lr_schedule, None if open_ended else max(1, steps))
        checkpoints = checkpoints or Checkpoints(None)
        self.hooks_ = _callbacks.hooks_of(self.callbacks_)
        _callbacks.check_scored(self.callbacks_, valid)
        on_epoch = _callbacks.shown(dataset, valid) if self.callbacks_ else {}
        self.notify("on_train_begin", X=dataset, y=None)
        state = partial(self.state_dict, stopping)
        if (found := checkpoints.take()) is not None:
            self.load_state_dict(found, stopping)
        team.begin(self, bool(self.hooks_))
        self.kept_ = None
        if checkpoints.epochs and not checkpoints.batches:
            self.descent_.exchange()
            self._keep()
            self.descent_.exchange()
        progress = Progress(epochs, n_rows, self.verbose, wait, team.world.size)
        with progress, frozen(self.module_, self.freeze):
            for epoch in range(checkpoints.epochs + 1, epochs + 1):
                begin_epoch()
                self.notify("on_epoch_begin", **on_epoch)
                team.follow(self)
                seen = progress.watch(batches)
                watched = checkpoints.watch(seen, state, self.descent_.is_whole)
                try:
                    self._epoch(watched, valid, score, wait)
                except DivergedError:
                    if stopping is None or not stopping.outlives():
                        raise
                    missing = {"train_loss", "valid_loss", monitor, "dur", "lr", "wait"}
                    missing -= self.history[-1].keys()
                    self._record(dict.fromkeys(missing, math.nan))
                progress.epoch(self.history[-1])
                warn_of_other_rows(self.history)
                stops = self._stops(stopping, monitor, on_epoch)
                team.follow(self)
                if team.agree(end_epoch() or stops):
                    break
                self._keep()
                if epoch < epochs:
                    self.descent_.exchange()
                    checkpoints.end_epoch(state)
        self.best_epoch_ = len(self.history)
        if stopping is not None:
            self.best_epoch_ = stopping.restore(self.module_)
        self._set_training(False)
        self.notify("on_train_end", X=dataset, y=None)
        team.follow(self)
        # A callback may have loaded a checkpoint, the history up to its epoch included.
        self.best_epoch_ = min(self.best_epoch_, len(self.history))
        return self

    def _epoch(
        self,
        batches: Iterable[Batch],
        valid: Sequence[Batch] | None,
        score: Score | None,
        wait: Callable[[], float],
    ) -> None:
        """Run one epoch and record it; leave averaged weights in place, if there are any."""
        start = time.perf_counter()
        self.run_single_epoch(batches, True, "train", self.train_step)
        self.team_.end_pass(self)
        waited = wait()
        self.descent_.exchange()
        if valid is not None:
            outputs: list[Tensor] | None = [] if score else None
            self.run_single_epoch(valid, False, "valid", self.validation_step, outputs=outputs)
            if score is not None and outputs is not None:
                self._record(score(self.team_.outputs(outputs)))
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
        record, stop = self.history[-1], False
        if stopping is not None:
            stop = stopping.update(record[monitor], record["epoch"], self.module_)
            self._record({"waited": stopping.waited, "stopped": stop})
        self.on_epoch_end(self, **on_epoch)
        return _callbacks.end_epoch(self, on_epoch) or stop

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
        per_batch = not self.hooks_.isdisjoint(_callbacks.BATCH_HOOKS)
        # Callbacks may look for batches in the history.
        steps: list[tuple[Tensor, int]] | None = [] if self.callbacks_ and not per_batch else None
        kind = "training" if training else "validation"
        descent = self.descent_
        losses = EpochLoss(kind, self.history[-1]["epoch"], descent.lr)
        if training:
            losses = self.losses_ = self.begun_ or losses
            self.begun_ = None
        if training and self.compiled_ is not None:
            self.compiled_.begin_epoch(self.step_)
        for batch in in_turns(iterator):
            if per_batch:
                self._begin_batch(batch, training)
            step = self.team_.step(self, step_fn(batch), batch, training=training)
            losses.append(step["loss"], step["size"], descent.lr)
            if outputs is not None:
                outputs.append(step["y_pred"])
            if steps is not None:
                steps.append((step["loss"], len(batch)))
            if per_batch:
                self._end_batch(batch, training, prefix, step)
        if training:
            descent.finish()
        if steps:
            kept, sizes = zip(*steps, strict=True)
            found = map(self.step_.loss.report, torch.stack(kept).tolist())  # waits once
            _callbacks.record_batches(self.history, found, sizes, prefix)
        self.history.record(f"{prefix}_loss", self.step_.loss.report(losses.mean(descent.lr)))

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Take one step of the optimizer (every so many batches, if they accumulate)."""
        try:
            step = self.train_step_single(batch)
        except (RuntimeError, MemoryError, ValueError) as error:
            if "more than 1 value per channel" in str(error):
                raise one_value_per_channel(self.module_, len(batch)) from error
            if "does not require grad" in str(error):
                raise no_gradients(self.module_) from error
            if not is_out_of_memory(error):
                raise
            raise too_large(self.step_, batch, self.batch_size, error) from error
        if "on_grad_computed" in self.hooks_:
            self.descent_.computed = partial(_callbacks.end_gradients, self, batch)
        self.team_.note(self, step, batch)
        self.descent_.step()
        return step

    def train_step_single(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute the gradients of one batch."""
        if not len(batch):
            return self.step_.train_without_rows(batch)
        if not self.weighted:  # rows drawn by their weights are not weighed again
            batch = Batch(batch.X, batch.y)
        step = None if self.compiled_ is None else self.compiled_(self.step_, batch)
        return self.step_.train(batch) if step is None else step

    def validation_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute outputs and loss of one batch."""
        return self.step_.validate(batch) if len(batch) else self.step_.without_rows()

    def infer(self, x: Features, **fit_params: Any) -> Tensor:
        """Compute the module's outputs for features that are on the device."""
        return self.step_.infer(x)

    # What callbacks see once a batch

    def _begin_batch(self, batch: Batch, training: bool) -> None:
        """Tell callbacks of a batch; one of them may have left the module in another mode."""
        if self.module_.training is not training:
            self._set_training(training)
        self.notify("on_batch_begin", batch=batch[:2], training=training)

    def _end_batch(self, batch: Batch, training: bool, prefix: str, step: dict[str, Any]) -> None:
        """Record a batch and tell callbacks."""
        loss = self.step_.loss.report(step["loss"].item())  # waits for the device
        _callbacks.record_batch(self.history, loss, len(batch), prefix)
        self.notify(
            "on_batch_end",
            batch=batch[:2],
            training=training,
            loss=step["loss"],
            y_pred=step["y_pred"],
        )

    # What callbacks may ask for

    def forward_iter(self, X: Any, training: bool = False, device: str = "cpu") -> Iterator[Tensor]:
        """Yield outputs for batches, as skorch's scoring callbacks ask for them."""
        self._set_training(training)
        for batch in _callbacks.batches_of(
            X, torch.device(self.device), weight_dtype(self.precision)
        ):
            with torch.set_grad_enabled(training):
                yield self.infer(batch.X).detach().to(device)


class ClassifierNet(ClassifierMixin, Net):
    """A Net whose predictions are class numbers, for scoring callbacks such as accuracy."""

    @property
    def classes_(self) -> npt.NDArray[np.int64]:
        """Numbers of the classes."""
        return np.arange(max(2, self.n_outputs_))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict class numbers."""
        outputs: npt.NDArray[Any] = self.predict_proba(X)
        if outputs.ndim == 1 or outputs.shape[1] == 1:
            return (outputs.reshape(-1) > 0.5).astype(np.int64)
        return np.asarray(outputs.argmax(axis=1))
