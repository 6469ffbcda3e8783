"""Real processes that form a world, for tests."""

import torch

from sklearnish.data import Failure
from sklearnish.estimators._fitting.child_process import children
from sklearnish.training import joined


def in_ranks(size, function, timeout=60.0):
    """Call a function of a World in so many processes; return what they returned, or errors."""
    with children(size, f"n_processes={size}") as started:
        return started.run(_join, size, str(started.folder / "store"), function, timeout)


def _join(rank, size, store, function, timeout):
    torch.set_num_threads(1)
    try:
        with joined(store, rank, size, torch.device("cpu"), timeout) as world:
            return function(world)
    except Exception as error:
        return Failure.of(error)
