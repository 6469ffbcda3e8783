"""scikit-learn's own estimators over a file that is never in memory as a whole.

``Incremental`` reads it batch by batch, shuffled, and gives each batch to ``partial_fit``.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearnish as sn


def write_rows(path: Path) -> None:
    """Write 40,000 rows in 40 row groups, sorted by label."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40_000, 10)) * np.arange(1, 11)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)])
    frame["label"] = np.where(X[:, 1] - X[:, 5] / 3 + rng.normal(size=len(X)) > 0, "yes", "no")
    frame.sort_values("label").to_parquet(path, row_group_size=1_000)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "rows.parquet")
        ds = sn.scan_parquet(Path(folder) / "rows.parquet", target="label")
        train, test = train_test_split(ds, random_state=0)  # row numbers; nothing is read

        model = make_pipeline(
            sn.preprocessing.Streamed(StandardScaler()),
            sn.Incremental(SGDClassifier(random_state=0), max_epochs=3, random_state=0),
        )
        search = GridSearchCV(model, {"incremental__estimator__alpha": [1e-4, 1e-1]}, cv=2)
        search.fit(train, train.target)
        print(f"Best: {search.best_params_}")
        print(f"accuracy {search.score(test, test.target):.3f}")
        sn.predict_to(search, Path(folder) / "predictions.parquet", test)
        print(pd.read_parquet(Path(folder) / "predictions.parquet").value_counts())
