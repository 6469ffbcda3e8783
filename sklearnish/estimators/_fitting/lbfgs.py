"""A fit by L-BFGS: scipy's, over all rows at once."""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from sklearnish.data import (
    Batch,
    Dataset,
    PipelineReport,
    Place,
    device_for_fit,
    read_finite,
    to_device,
    warn,
    with_codes,
)
from sklearnish.estimators._fitting.epochs import finish
from sklearnish.estimators._fitting.fit_task import FitTask, learned_by
from sklearnish.estimators._fitting.labels import targets
from sklearnish.estimators._fitting.module import Start, input_dtype, make_net
from sklearnish.estimators._fitting.sizes import choose_sizes
from sklearnish.training import Net, seeded, thread_count

Vector = npt.NDArray[np.float64]


def train_by_lbfgs(estimator: Any, data: Dataset, start: Start, task: FitTask) -> None:
    """Minimise the loss over all rows; the history gets one record, of the end."""
    check_in_memory(data)
    choose_sizes(estimator, len(data), None)
    with (
        device_for_fit(estimator.device) as place,
        seeded(estimator._seed, place.device),
        thread_count(estimator.num_threads, in_memory=data.in_memory),
    ):
        task.device = place.device
        net = make_net(estimator, start, data, place.device, {})
        rows = with_codes(data._for_module(input_dtype(net)), estimator._to_loss(targets(data)))
        batch = to_device(read_finite(rows, np.arange(len(rows))), place.device)
        found = _minimise(net, batch, estimator, place)
    net.history.new_epoch()
    n_iter = min(int(found.nit), int(estimator.max_iter))
    end = {"epoch": len(net.history), "train_loss": float(found.fun), "n_iter": n_iter}
    for name, value in end.items():
        net.history.record(name, value)
    net.best_epoch_ = len(net.history)
    net._set_training(False)
    why = "L-BFGS computes over all rows at once"
    finish(estimator, net, PipelineReport("inline", 0, why, data.source.name, ()))
    task.end(partial(learned_by, estimator))
    if found.status != 0:
        warn(
            f"lbfgs failed to converge after {found.nit} iterations ({found.message}). Scale the "
            f"inputs, or raise max_iter={estimator.max_iter} or max_fun={estimator.max_fun}.",
            ConvergenceWarning,
        )


def check_in_memory(data: Dataset) -> None:
    """Refuse rows that come from files or through functions."""
    if not data.in_memory:
        raise ValueError(
            f"solver='lbfgs' needs all rows in memory at once, and those of {data.source.name} "
            "are read while they are used. Use solver='adam' or 'sgd'; or, if they fit into "
            "memory, fit(np.asarray(ds), ds.target)."
        )


def _minimise(net: Net, batch: Batch, estimator: Any, place: Place) -> Any:
    """Let scipy find the weights, and put them into the module."""
    weights: Any = net.module_.packed

    def loss_and_gradient(flat: Vector) -> tuple[float, Vector]:
        _put(weights, flat)
        weights.grad = None
        loss = net.step_.train(batch)["loss"]
        place.settle()
        return float(loss), _flat(weights.grad)

    options = {"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol}
    minimise: Any = scipy.optimize.minimize
    found = minimise(
        loss_and_gradient, _flat(weights), method="L-BFGS-B", jac=True, options=options
    )
    _put(weights, found.x)
    weights.grad = None
    return found


@torch.no_grad()
def _put(weights: Tensor, flat: Vector) -> None:
    """Copy numbers into weights."""
    weights.copy_(torch.from_numpy(flat))


def _flat(weights: Tensor) -> Vector:
    """Copy numbers out of them."""
    flat: Vector = weights.detach().cpu().double().clone().numpy()
    return flat
