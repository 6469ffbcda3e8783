"""scikit-learn's own conformance checks: our estimators beside skorch's."""

from collections import Counter
from typing import Any

import skorch
import torch
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

import sklearnish as sn
from tests.benchmarks._page import Bar, Result, table

REASON = "weights equal repetition to 1e-7: float32 has no such digits"
# One check, which scikit-learn runs on dense rows and again on sparse ones.
IN_FLOAT32 = {
    f"check_sample_weight_equivalence_on_{kind}_data": REASON for kind in ("dense", "sparse")
}


class Perceptron(nn.Module):
    """Takes any number of columns and any floating dtype, so that skorch is not at a loss."""

    def __init__(self, out_features: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.Linear(16, out_features))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return self.layers(X.to(torch.float32))


def run(size: str) -> Result:
    # The checks ask for an accuracy that a small module reaches with larger steps.
    training = {"lr": 0.05, "max_epochs": 50}
    options = {**training, "optimizer": torch.optim.Adam, "verbose": 0, "train_split": None}
    classify = {"criterion": nn.CrossEntropyLoss, "module__out_features": 3}
    contenders: dict[str, tuple[Any, dict[str, str]]] = {
        "`TorchClassifier()`": (sn.TorchClassifier(), IN_FLOAT32),
        '`TorchClassifier(precision="float64")`': (sn.TorchClassifier(precision="float64"), {}),
        "`TorchClassifier(Perceptron)`": (sn.TorchClassifier(Perceptron, **training), IN_FLOAT32),
        "`TorchRegressor()`": (sn.TorchRegressor(), IN_FLOAT32),
        '`TorchRegressor(precision="float64")`': (sn.TorchRegressor(precision="float64"), {}),
        "skorch `NeuralNetClassifier(Perceptron)`": (
            skorch.NeuralNetClassifier(Perceptron, **classify, **options),
            {},
        ),
        "skorch `NeuralNetRegressor(Perceptron)`": (
            skorch.NeuralNetRegressor(Perceptron, module__out_features=1, **options),
            {},
        ),
    }
    rows, bars = [], []
    for name, (estimator, expected) in contenders.items():
        counts, failed = _count(estimator, expected)
        passed = [counts[status] for status in ("passed", "xfail", "skipped", "failed")]
        rows.append([name, *passed])
        print(f"    {name}: {dict(counts)} {failed}", flush=True)
        if not name.startswith("skorch"):
            shown = f"{len(failed)} {' '.join(failed)}".strip()
            bars.append(Bar(f"failures of {name}", len(failed), shown, at_most=0))
    return Result(
        "`sklearn.utils.estimator_checks.check_estimator`, every check run to its end.",
        [table(["estimator", "passed", "expected failures", "skipped", "failed"], rows)],
        bars,
        [f"Expected to fail in float32: {', '.join(IN_FLOAT32)}; {REASON}."],
    )


def _count(estimator: Any, expected: dict[str, str]) -> tuple[Counter[str], list[str]]:
    results = check_estimator(
        estimator, expected_failed_checks=expected, on_fail=None, on_skip=None
    )
    failed = [r["check_name"] for r in results if r["status"] == "failed"]
    return Counter(r["status"] for r in results), failed
