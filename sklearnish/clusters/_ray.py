"""One fit on Ray: what trains, handed to Ray Train."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as dist

from sklearnish.data import Failure, n_cores
from sklearnish.estimators import Given, Outcome, outcome_of
from sklearnish.training import LostRankError, World, device_of_rank

_START_TIMEOUT = 60
"""Seconds that Ray Train waits for a place for its workers before it tries again."""


@contextmanager
def on_ray(
    n_workers: int, use_gpu: bool, options: dict[str, Any]
) -> Iterator[Callable[[Given], Outcome | Failure]]:
    """Join a cluster, or start Ray on this machine; yield what trains there.

    Raises
    ------
    ImportError
        If Ray is not installed.
    """
    try:
        import ray
        import ray.train.torch
    except ImportError as error:
        raise ImportError(
            'cluster("ray") needs Ray Train, which is not installed: pip install "sklearnish[ray]"'
        ) from error
    started = not ray.is_initialized()
    if started:
        ray.init(num_cpus=max(n_cores(), n_workers), log_to_driver=False, include_dashboard=False)
    try:
        if started:  # another cluster may still grow
            _check_gpus(n_workers if use_gpu else 0, ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
        yield lambda given: _train(given, n_workers, use_gpu, options)
    finally:
        if started:
            ray.shutdown()


def _check_gpus(wanted: int, found: float) -> None:
    """Refuse what Ray would wait for without end."""
    if wanted > found:
        raise ValueError(
            f"use_gpu=True takes a GPU for each of {wanted} workers, but this machine has "
            f"{found:g}. Use fewer workers, or join a cluster by ray.init(address=...) before."
        )


def _train(
    given: Given, n_workers: int, use_gpu: bool, options: dict[str, Any]
) -> Outcome | Failure:
    """Let Ray Train start the workers, again if one dies, and return what came of it."""
    import ray
    from ray.train import ScalingConfig

    with ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="sklearnish-ray-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        box: Any = ray.remote(num_cpus=0)(_Box).remote()
        stack.callback(ray.kill, box)
        config = {"given": [_sent(given)], "box": box}
        scaling = ScalingConfig(num_workers=n_workers, use_gpu=use_gpu, **options)
        try:
            _trainer(config, scaling, given[0], folder).fit()
        except Exception as error:
            if not isinstance(ray.get(box.get.remote()), Failure):
                raise ChildProcessError(
                    f"Ray could not finish this fit (max_restarts={given[0].max_restarts}): "
                    f"{error}. If it found no place for {n_workers} workers, ray.init() before "
                    "with more resources, or ask for fewer."
                ) from error
        found: Outcome | Failure = ray.get(box.get.remote())
        return found


def _sent(given: Given) -> Any:
    """Put everything into Ray's store once; workers of a machine map it."""
    import ray

    try:
        return ray.put(given)
    except Exception as error:  # its text shows the rows
        reason = error.__cause__ or error.__context__ or type(error).__name__
        raise TypeError(
            f"The estimator or its rows cannot be sent to Ray: {reason}. Make it picklable."
        ) from None


def _trainer(config: dict[str, Any], scaling: Any, estimator: Any, folder: str) -> Any:
    """Make what starts workers: it waits for a place for them, and for their messages, so long."""
    from ray.train import FailureConfig, RunConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    seconds = max(1, int(estimator.worker_timeout))
    failures = FailureConfig(  # type: ignore[call-arg]
        max_failures=estimator.max_restarts,
        controller_failure_limit=max(1, seconds // _START_TIMEOUT),
    )
    return TorchTrainer(
        _run,
        train_loop_config=config,
        scaling_config=scaling,
        torch_config=TorchConfig("nccl" if scaling.use_gpu else "gloo", timeout_s=seconds),
        run_config=RunConfig(storage_path=folder, failure_config=failures),
    )


class _Box:
    """Keeps what came of a fit, at the program that waits for it."""

    def __init__(self) -> None:
        self._found: Any = None

    def put(self, found: Any) -> None:
        """Keep a result; what failed first stays."""
        if not isinstance(self._found, Failure):
            self._found = found

    def get(self) -> Any:
        """Return it."""
        return self._found


def _run(config: dict[str, Any]) -> None:
    """Train in a worker of Ray's, which has joined the others already."""
    import ray
    from ray.train import get_context

    context, box = get_context(), config["box"]
    rank, size = context.get_world_rank(), context.get_world_size()

    def train() -> Any:
        estimator, *rest = ray.get(config["given"][0])
        local = context.get_local_rank()
        on_gpu = dist.is_initialized() and dist.get_backend() == "nccl"
        device = device_of_rank("cuda" if on_gpu else "cpu", local if on_gpu else 0)
        estimator._train(*rest, world=World(rank, size, torch.device(device)))
        return estimator

    if isinstance(ray.get(box.get.remote()), Failure):
        return  # started again, but what failed would fail again
    found = outcome_of(train, is_first=rank == 0)
    error = found.error("") if isinstance(found, Failure) else None
    if found is not None and not isinstance(error, LostRankError):
        ray.get(box.put.remote(found))
    if error is not None:
        raise error  # Ray ends the other workers, which wait for this one
