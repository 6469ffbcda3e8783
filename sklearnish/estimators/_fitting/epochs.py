"""The epochs of a fit, from rows with encoded targets to what the estimator learned."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy.typing as npt
import torch

from sklearnish.data import (
    WHOLE,
    Dataset,
    Loader,
    PipelineReport,
    Place,
    device_for_fit,
    prepare_loader,
    warn,
    with_codes,
)
from sklearnish.estimators._fitting.alike import check_alike
from sklearnish.estimators._fitting.drafts import snapshot
from sklearnish.estimators._fitting.fit_task import FitTask, learned_by
from sklearnish.estimators._fitting.held_out import validation_options
from sklearnish.estimators._fitting.labels import targets
from sklearnish.estimators._fitting.module import Start, check_inputs, input_dtype, make_net
from sklearnish.estimators._fitting.resume import checkpoints_of
from sklearnish.estimators._fitting.sizes import choose_sizes
from sklearnish.training import (
    ALONE,
    Checkpoints,
    Net,
    Team,
    World,
    seeded,
    synchronised,
    thread_count,
)

Array = npt.NDArray[Any]


def train(
    estimator: Any,
    data: Dataset,
    valid: Dataset | None,
    start: Start,
    task: FitTask,
    epochs: int | None = None,
    world: World = ALONE,
) -> None:
    """Run the epochs, on a device where the fit has a place until its end."""
    if not world.is_first:
        task.mute()
    alone = world.size == 1
    wanted = estimator.device if alone else world.device
    bound = estimator.net_.device if alone and start == "net" else None
    with device_for_fit(wanted, bound) as place:
        task.device = place.device
        _train(estimator, data, valid, start, task, epochs, world, place)


def _train(
    estimator: Any,
    data: Dataset,
    valid: Dataset | None,
    start: Start,
    task: FitTask,
    epochs: int | None,
    world: World,
    place: Place,
) -> None:
    """Run the epochs; what they change in the process is put back."""
    check_alike(estimator, data, valid, world)
    open_ended, epochs = epochs is not None, choose_sizes(estimator, len(data), epochs)
    device = place.device
    earlier = None if start == "new" else estimator.net_
    past = 0 if earlier is None else len(earlier.history)
    saves = world.is_first and not open_ended
    checkpoints = checkpoints_of(estimator, data, valid, earlier, resumable=saves)
    with (
        checkpoints,
        seeded(estimator._seed + past, device),
        thread_count(estimator.num_threads, in_memory=data.in_memory),
    ):
        checkpoints.share(world)
        known = checkpoints.known
        net = make_net(estimator, start, data, device, known, is_first=world.is_first)
        data = data._for_module(input_dtype(net))
        check_inputs(net.module_, data)
        if valid is not None:
            valid = valid._for_module(input_dtype(net))
            check_inputs(net.module_, valid)
        if checkpoints.finished:
            state, report = checkpoints.take_finished()
            net.load_state_dict(state)
            task.skip(len(net.history) - past)
        else:
            task.skip(checkpoints.epochs)
            options = {"epochs": epochs, "checkpoints": checkpoints, "open_ended": open_ended}
            with _loader(estimator, data, net, epochs, checkpoints, world) as loader:
                told = partial(_as_if_stopped, estimator, net, loader.report, valid)
                options["team"] = Team(world, lambda: (loader.n_rows, loader.order_hash))
                options |= {
                    "begin_epoch": task.begin_epoch,
                    "end_epoch": partial(task.end_epoch, told),
                }
                try:
                    with _together(estimator, net, world):
                        _run(estimator, net, loader, data, valid, place, **options)
                except KeyboardInterrupt:
                    if net.go_back():
                        finish(estimator, net, loader.report())
                    raise
                finally:
                    net.leave()
            report = _report(loader, world)
            if task.stopped:
                checkpoints.forget()  # a fit without the callback would find it complete
            else:
                checkpoints.finish(net.state_dict, report)
        finish(estimator, net, report)
        if valid is not None:
            estimator._learn_from_validation(valid)
    task.end(partial(learned_by, estimator))


def _together(estimator: Any, net: Net, world: World) -> AbstractContextManager[None]:
    """Let layers normalise by whole batches, if asked to."""
    return synchronised(net.step_, world) if estimator.sync_batch_norm else nullcontext()


def _report(loader: Loader, world: World) -> PipelineReport:
    """Say where the time went: of several processes, in that which waited longest for rows."""
    report = loader.report()
    if world.size == 1:
        return report
    waits = [wait for (wait,) in world.numbers_of_all([sum(e.wait for e in report.epochs)])]
    return replace(report, waits=tuple(waits))


def _loader(
    estimator: Any, data: Dataset, net: Net, epochs: int, checkpoints: Checkpoints, world: World
) -> Loader:
    """Build what feeds the training rows that are left."""
    done = checkpoints.epochs
    return prepare_loader(
        with_codes(data, estimator._to_loss(targets(data)), partial(_encode_later, estimator)),
        batch_size=estimator.batch_size_,
        min_batch_size=estimator._min_batch_size,
        epochs=epochs - done,
        first_epoch=len(net.history) + done,
        first_batch=checkpoints.batches,
        sampler=with_labels(
            estimator.sampler, lambda: data.with_target(estimator._from_codes(targets(data)))
        ),
        seed=estimator._seed,
        augment=estimator._augmentation(data),
        device=torch.device(net.device),
        share=replace(world.share, least=1) if estimator.sync_batch_norm else world.share,
        **estimator._pipeline(),
    )


def _run(
    estimator: Any,
    net: Net,
    loader: Loader,
    data: Dataset,
    valid: Dataset | None,
    place: Place,
    **options: Any,
) -> None:
    """Train, and evaluate what there is to evaluate."""
    if valid is not None:
        led = options["team"].world.same(bool(estimator.callbacks))
        share = WHOLE if led else loader.share  # callbacks see all rows
        options |= validation_options(estimator, valid, net, share)
    options |= estimator._stopping(net, len(data), validated=valid is not None)
    net.train(
        place.watched(loader),
        n_rows=len(data),
        steps_per_epoch=loader.steps_per_epoch,
        wait=lambda: loader.progress().wait,
        dataset=data.with_target(estimator._to_loss(targets(data)))
        if estimator.callbacks
        else data,
        **options,
    )


def _as_if_stopped(
    estimator: Any, net: Net, report: Callable[[], PipelineReport], valid: Dataset | None
) -> dict[str, Any]:
    """Return what the estimator would have learned if the fit had ended with this epoch."""
    fitted, copied = snapshot(estimator), net.twin()
    copied.best_epoch_ = len(copied.history)
    copied._set_training(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the end of the fit says is said there
        finish(fitted, copied, report())
    if valid is not None:
        fitted._learn_from_validation(valid)
    return learned_by(fitted)


def finish(estimator: Any, net: Net, report: PipelineReport) -> None:
    """Keep what was learned; no Loader and no open file."""
    estimator.net_ = net
    for_callbacks = ("batches", "train_loss_best", "valid_loss_best")
    hidden = {*for_callbacks, "waited", "stopped"}
    estimator.history_ = [{k: v for k, v in e.items() if k not in hidden} for e in net.history]
    skipped, n_skipped = estimator._left_out
    estimator.pipeline_report_ = replace(report, skipped=skipped, n_skipped=n_skipped)
    estimator._note()
    if n_skipped:
        warn(estimator.pipeline_report_.left_out, UserWarning)


def with_labels(sampler: Any, labelled: Callable[[], Dataset]) -> Any:
    """Show a callable the user's labels, rather than what the criterion takes."""
    if not callable(sampler):
        return sampler

    def order(_: Dataset, **options: Any) -> Any:
        return sampler(labelled(), **options)

    order.__wrapped__ = sampler  # type: ignore[attr-defined]  # says whether it takes rng
    return order


def _encode_later(estimator: Any, y: Array) -> Array:
    """Turn labels that differ from those before training into what the criterion takes."""
    if getattr(estimator, "class_weight", None) is not None or estimator.sampler == "balanced":
        raise ValueError(
            "the Dataset draws the labels of its items at random, so rows have no fixed class "
            "weight. Use class_weight=None and another sampler than 'balanced'."
        )
    loss: Array = estimator._to_loss(estimator._check_y(y, reset=False))
    return loss
