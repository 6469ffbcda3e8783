"""What batch size does: a search over it, together with learning rate and width.

A larger batch means fewer, better informed steps an epoch: faster, but it learns less from each
pass unless the learning rate grows with it. ``module__hidden`` reaches into the network.
"""

import pandas as pd
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, train_test_split

import sklearnish as sn


def main() -> None:
    """Search, and show accuracy and time by batch size and learning rate."""
    X, y = make_classification(
        6_000, n_features=30, n_informative=12, n_clusters_per_class=4, random_state=0
    )
    ds, test = train_test_split(sn.as_dataset(X, y), stratify=y, random_state=0)

    clf = sn.TorchClassifier(max_epochs=5, random_state=0)
    grid = {"batch_size": [64, 512, 4096], "lr": [1e-3, 1e-2], "module__hidden": [[64], [64, 64]]}
    search = GridSearchCV(clf, grid, cv=2).fit(ds, ds.target)

    results = pd.DataFrame(search.cv_results_).rename(columns=lambda c: c.removeprefix("param_"))
    for value, title in [
        ("mean_test_score", "Best accuracy by batch size (rows) and learning rate (columns)"),
        ("mean_fit_time", "Seconds to fit"),
    ]:
        print(title)
        shown = results.pivot_table(value, "batch_size", "lr", aggfunc="max").round(3)
        print(shown.to_string(), end="\n\n")
    print("Best:", search.best_params_)
    print(f"Accuracy on unseen rows: {search.score(test, test.target):.3f}")


if __name__ == "__main__":
    main()
