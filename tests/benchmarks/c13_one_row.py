"""One row at a time, as a service asks: 1,000 calls in turn, and from 4 threads at once."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

import sklearnish as sn
from tests.benchmarks._harness import (
    PAIRS,
    Contender,
    Ratio,
    Sample,
    in_turn,
    median,
    one_thread,
    seconds_of,
)
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks.c1_arrays import OURS, SKLEARN, Perceptron, make_arrays

CALLS = {"quick": 50, "default": 1_000, "full": 1_000}
N_THREADS = 4
METHODS = ("predict", "predict_proba")


def one_by_one(estimator: Any, method: str, X: Any, n_threads: int = 1) -> tuple[float, Any]:
    """Ask for each row alone; return the seconds of a call, and the predictions."""
    ask: Callable[[Any], Any] = getattr(estimator, method)
    rows = [X[i : i + 1] for i in range(len(X))]
    begun = time.perf_counter()
    if n_threads == 1:
        answers = [ask(row) for row in rows]
    else:
        with ThreadPoolExecutor(n_threads) as pool:
            answers = list(pool.map(ask, rows))
    return (time.perf_counter() - begun) / len(X), np.concatenate(answers)


def run(size: str) -> Result:
    X, y = make_arrays(20_000)
    calls = X[: CALLS[size]]
    result = Result(
        f"{len(calls):,} rows of {X.shape[1]} float32, predicted one at a time by a fitted MLP "
        f"of 64 hidden units; microseconds a call, one after the other and from {N_THREADS} "
        "threads at once, one torch thread."
    )
    with one_thread():
        clf = sn.TorchClassifier(Perceptron, max_epochs=1, random_state=0).fit(X, y)
        mlp = MLPClassifier((64,), batch_size=256, max_iter=1, random_state=0).fit(X, y)
        for method in METHODS:
            for n_threads in (1, N_THREADS):
                title = f"`{method}`, {n_threads} thread{'s' * (n_threads > 1)}"
                print(f"  {title}", flush=True)
                contenders: dict[str, Contender] = {
                    name: partial(_seconds, estimator, method, calls, n_threads)
                    for name, estimator in ((OURS, clf), (SKLEARN, mlp))
                }
                samples = in_turn(contenders, 1 if size == "quick" else PAIRS)
                result.tables.append(_table(title, samples, len(calls)))
                ratio = Ratio.of(*map(seconds_of, samples.values()))
                text = f"{title}, time of {SKLEARN}"
                result.bars.append(Bar(text, ratio.median, str(ratio), at_most=2))
            result.bars.append(_equal(clf, method, calls))
    return result


def _seconds(estimator: Any, method: str, X: Any, n_threads: int) -> float:
    return one_by_one(estimator, method, X, n_threads)[0]


def _equal(clf: Any, method: str, X: Any) -> Bar:
    """Hold the predictions for one row, in turn and at once, against those for all of them."""
    together = getattr(clf, method)(X)
    alone, at_once = (one_by_one(clf, method, X, n)[1] for n in (1, N_THREADS))
    # A product of matrices sums in another order for another number of rows.
    close = np.isclose(alone, together, rtol=1e-5, atol=1e-6)
    differing = int((alone != at_once).sum() + (~close).sum())
    text = f"`{method}`, predictions that differ between one row, threads and all rows at once,"
    return Bar(text, differing, str(differing), at_most=0)


def _table(title: str, samples: dict[str, list[Sample]], calls: int) -> str:
    rows = [
        [
            name,
            f"{median(own, 'seconds') * 1e6:.0f}",
            "" if name == OURS else Ratio.of(seconds_of(samples[OURS]), seconds_of(own)),
            f"{median(own, 'cpu') / calls * 1e6:.0f}",
            f"{median(own, 'peak_mb'):.0f}",
        ]
        for name, own in samples.items()
    ]
    return table(
        ["", "us a call", "ours to it", "CPU us a call", "peak MB more"], rows, f"**{title}**"
    )
