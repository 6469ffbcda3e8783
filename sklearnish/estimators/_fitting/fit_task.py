"""A fit as scikit-learn's callbacks see it: one task, with a subtask for each epoch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from sklearnish.data import Dataset, as_dataset, restored_generators

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn 1.8 has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand in for scikit-learn's."""

    def with_callbacks(method: Any) -> Any:
        """Stand in for scikit-learn's."""
        return method


CALLBACKS = "_skl_callbacks"
"""Where scikit-learn keeps the callbacks of an estimator: logs, sockets and threads."""

OF_A_FIT = frozenset({"_callback_fit_ctx", "_parent_callback_ctx", "_skl_callbacks_to_teardown"})
"""What scikit-learn sets on an estimator for the time of a fit."""


class CallbackHost(CallbackSupportMixin):
    """Lets an estimator have callbacks of scikit-learn, which end with the fit.

    A fitted estimator is pickled without them: they hold logs, sockets and threads. One that is
    not fitted is sent with them to the processes of a search.
    """

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to a fit that is running, or is over."""
        left_out = OF_A_FIT | ({CALLBACKS} if "net_" in self.__dict__ else set())
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name not in left_out}


class FitTask:
    """Tells the callbacks of an estimator of one fit; does nothing if it has none.

    Parameters
    ----------
    host : CallbackHost
        The estimator that has the callbacks, as the user knows it.
    X, y, sample_weight : object
        What `fit` was given, which callbacks are shown.

    Attributes
    ----------
    stopped : bool
        Whether a callback ended the fit.
    device : torch.device
        Where the fit computes.
    """

    def __init__(self, host: Any, X: Any, y: Any, sample_weight: Any) -> None:
        self.stopped, self.device = False, torch.device("cpu")
        self._host = host
        self._root: Any = None
        self._epoch: Any = None
        self._rows: dict[str, Any] = {}
        if getattr(host, CALLBACKS, None):
            weights = {} if sample_weight is None else {"sample_weight": sample_weight}
            self._rows = {"X": X, "y": y, "metadata": weights}

    def mute(self) -> None:
        """Tell nobody from now on: another process of the fit does."""
        self._rows, self._root, self._epoch = {}, None, None

    def run(self, fit: Callable[..., None], *args: Any) -> None:
        """Call a function that fits; tear callbacks down at its end, whatever comes of it."""
        with_callbacks(lambda host: fit(*args, self))(self._host)

    def begin(self, epochs: int) -> None:
        """Set the callbacks up, and tell them of the fit."""
        if self._rows:
            X, y = self._rows["X"], self._rows["y"]
            if y is None and isinstance(X, Dataset | torch.utils.data.Dataset):
                data = as_dataset(X)  # its labels are read when a callback wants them
                self._rows |= {"X": data, "y": partial(getattr, data, "target")}
            self._root = self._host._init_callback_context(max_subtasks=epochs)
            self._root.call_on_fit_task_begin(estimator=self._host, **self._rows)

    def skip(self, epochs: int) -> None:
        """Count epochs of an earlier fit that this one resumes; nothing is known of them."""
        for _ in range(epochs if self._root is not None else 0):
            self.begin_epoch()
            self._epoch.call_on_fit_task_end(estimator=self._host)

    def begin_epoch(self) -> None:
        """Tell of an epoch."""
        if self._root is not None:
            self._epoch = self._root.subcontext(task_name="epoch")
            self._tell(self._epoch.call_on_fit_task_begin)

    def end_epoch(self, learned: Callable[[], dict[str, Any]]) -> bool:
        """Tell of its end; say whether a callback stops the fit.

        `learned` returns the attributes of an estimator that had stopped here. It is called only
        if a callback takes a fitted estimator.
        """
        if self._epoch is not None:
            end = partial(self._epoch.call_on_fit_task_end, reconstruction_attributes=learned)
            self.stopped = bool(self._tell(end))
        return self.stopped

    def end(self, learned: Callable[[], dict[str, Any]]) -> None:
        """Tell of the end of the fit."""
        if self._root is not None:
            self._root.call_on_fit_task_end(
                estimator=self._host, reconstruction_attributes=learned, **self._rows
            )

    def _tell(self, call: Callable[..., Any]) -> Any:
        """Call callbacks between steps; what they draw at random does not change the next ones."""
        with restored_generators(True, self.device):
            return call(estimator=self._host, **self._rows)


def learned_by(estimator: Any) -> dict[str, Any]:
    """Return the attributes that a fit sets."""
    left_out = {*estimator.get_params(deep=False), CALLBACKS, *OF_A_FIT}
    return {name: value for name, value in vars(estimator).items() if name not in left_out}
