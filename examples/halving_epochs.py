"""Successive halving with epochs as the resource: poor settings are dropped after few of them.

scikit-learn's ``HalvingGridSearchCV`` gives every candidate two epochs, the best third of them
six, and the best third of these eighteen.
"""

import pandas as pd
from sklearn.datasets import make_classification
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV

import sklearnish as sn


def main() -> None:
    """Search, and show what each round cost and found."""
    X, y = make_classification(2_000, 20, n_informative=10, n_classes=3, random_state=0)
    rows = sn.as_dataset(X, y)
    search = HalvingGridSearchCV(
        sn.TorchClassifier(random_state=0),
        {"lr": [1e-4, 1e-3, 1e-2], "batch_size": [32, 128], "module__hidden": [16, 64]},
        resource="max_epochs",
        min_resources=2,
        max_resources=18,
        cv=3,
    ).fit(rows, rows.target)
    found = pd.DataFrame(search.cv_results_)
    rounds = found.groupby("iter").agg(
        candidates=("iter", "size"),
        epochs=("n_resources", "first"),
        best=("mean_test_score", "max"),
    )
    print(rounds.round(3).to_string())
    print("Best:", search.best_params_)


if __name__ == "__main__":
    main()
