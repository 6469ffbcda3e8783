"""Training in a process of its own: what kills it is an exception here."""

import re
import warnings
from typing import Any

import torch

from sklearnish.data import Dataset


def train_in_child(estimator: Any, data: Dataset, valid: Dataset | None, get_net: str) -> None:
    """Let a child process train, and take over what the estimator learned there.

    The process is one of joblib's, to which classes and functions of the script itself can be
    sent, too. Its warnings are given again here.

    Raises
    ------
    ChildProcessError
        If the process ended before it was done; the message has the exit code or signal.
    """
    # Imported here: it takes a tenth of a second.
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    pool = ProcessPoolExecutor(1)
    try:
        future = pool.submit(_train, estimator, data, valid, get_net, torch.get_num_threads())
        learned, told = future.result()
    except TerminatedWorkerError as error:
        codes = re.findall(r"\w+\(-?\d+\)", str(error))
        raise ChildProcessError(
            f"The child process of this fit ended before it was done: {', '.join(codes)}. SIGKILL "
            "is often a want of memory, SIGSEGV a fault in native code."
        ) from error
    finally:
        pool.shutdown(kill_workers=True)
    for message in told:
        warnings.warn_explicit(*message)
    vars(estimator).update(learned)


def _train(
    estimator: Any, data: Dataset, valid: Dataset | None, get_net: str, num_threads: int
) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """Train with as many threads as the parent would; return what was learned, and warnings."""
    torch.set_num_threads(num_threads)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator._train(data, valid, getattr(estimator, get_net))
    params = set(estimator.get_params(deep=False))
    learned = {name: value for name, value in vars(estimator).items() if name not in params}
    return learned, [(w.message, w.category, w.filename, w.lineno) for w in caught]
