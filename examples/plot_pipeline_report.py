"""Where does the time of a fit go? Read the report, draw it, and act on it.

The same model is trained on rows that a function computes again in every epoch, and on the same
rows written once to a (temporary) folder. ``pipeline_report.png`` shows both plots side by side.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import sklearnish as sn


def slow_feature(x):
    """Pretend that a row needs some work before it can be learned from."""
    return x.sort().values.cumsum(0)


def main(folder: Path) -> None:
    """Fit twice, print both reports, draw them."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 16), dtype=np.float32)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(16)])
    frame["label"] = X[:, 0] + X[:, 1] > 0

    ds = sn.as_dataset(frame.drop(columns="label"), frame["label"]).map(slow_feature)
    clf = sn.TorchClassifier(max_epochs=4, random_state=0)
    _, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained", sharey=True)
    for name, data, ax in [
        ("rows made anew in every epoch", ds, axes[0]),
        ("rows that are ready", ds.cache(folder / "ready"), axes[1]),
    ]:
        report = clf.fit(data).pipeline_report_
        print(f"--- {name}\n{report}\n")
        sn.plotting.PipelineReportDisplay.from_estimator(clf, ax=ax)
    plt.savefig("pipeline_report.png")
    print("Drawn in pipeline_report.png")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
