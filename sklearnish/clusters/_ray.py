"""One fit on Ray: what trains, handed to Ray Train."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from sklearnish.data import Failure
from sklearnish.estimators import Given, Outcome, outcome_of
from sklearnish.training import LostRankError, World, device_of_rank


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
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        yield lambda given: _train(given, n_workers, use_gpu, options)
    finally:
        if started:
            ray.shutdown()


def _train(
    given: Given, n_workers: int, use_gpu: bool, options: dict[str, Any]
) -> Outcome | Failure:
    """Let Ray Train start the workers, again if one dies, and return what came of it."""
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    estimator, folder = given[0], tempfile.mkdtemp(prefix="sklearnish-ray-")
    box: Any = ray.remote(num_cpus=0)(_Box).remote()
    trainer = TorchTrainer(
        _run,
        # Sent once, and mapped by the workers of a machine.
        train_loop_config={"given": [ray.put(given)], "box": box},
        scaling_config=ScalingConfig(num_workers=n_workers, use_gpu=use_gpu, **options),
        torch_config=TorchConfig(
            backend="nccl" if use_gpu else "gloo", timeout_s=int(estimator.worker_timeout) or 1
        ),
        run_config=RunConfig(
            storage_path=folder,
            failure_config=FailureConfig(max_failures=estimator.max_restarts),
        ),
    )
    try:
        trainer.fit()
        found: Any = ray.get(box.get.remote())
    except Exception as error:
        found = ray.get(box.get.remote())
        if not isinstance(found, Failure):
            raise ChildProcessError(
                f"Ray could not finish this fit, after {estimator.max_restarts} restarts "
                f"(max_restarts): {error}"
            ) from error
    finally:
        ray.kill(box)
        shutil.rmtree(Path(folder), ignore_errors=True)
    outcome: Outcome | Failure = found
    return outcome


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
