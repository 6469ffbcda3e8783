"""A table as it is: text, gaps and numbers from a CSV file, learned in six lines.

The table is made up here, after the census table "Adult": who earns more than the median. Then
``table.png`` shows how far the accuracy falls if a column is shuffled.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split

import sklearnish as sn

PAY = {"clerk": 0.0, "cook": -0.6, "nurse": 0.3, "engineer": 1.2, "manager": 1.5}
SCHOOL = {"primary": -0.8, "secondary": 0.0, "bachelor": 0.6, "master": 1.0}


def write_table(path: Path, n_rows: int = 6_000) -> None:
    """Write people, some of whom did not answer everything, and whether they earn much."""
    rng = np.random.default_rng(0)
    people = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n_rows),
            "job": rng.choice(list(PAY), n_rows),
            "school": rng.choice(list(SCHOOL), n_rows),
            "hours": rng.normal(38, 9, n_rows).clip(5, 80).round(1),
            "gain": np.where(rng.random(n_rows) < 0.1, rng.lognormal(8, 1, n_rows), 0).round(),
        }
    )
    pay = people["job"].map(PAY) + people["school"].map(SCHOOL) + people["hours"] / 20
    pay += 1.5 * np.sin((people["age"] - 18) / 20) + np.log1p(people["gain"]) / 4
    pay += rng.normal(0, 0.5, n_rows)
    people["rich"] = np.where(pay > pay.median(), "yes", "no")
    for name in ("job", "hours"):
        people.loc[rng.random(n_rows) < 0.05, name] = None
    people.to_csv(path, index=False)


def main(folder: Path) -> None:
    """Write the table, learn from it, ask what matters, draw it."""
    write_table(folder / "people.csv")

    ds = sn.scan_csv(folder / "people.csv", target="rich")
    train, test = train_test_split(np.arange(len(ds)), test_size=0.25, random_state=0)
    clf = sn.TabularClassifier(quality="fast", random_state=0)
    clf.fit(ds[train])
    print(f"accuracy {clf.score(ds[test]):.3f}")
    print(f"classes {clf.classes_}, and their probabilities for three people:")
    print(clf.predict_proba(ds[test[:3]]).round(2))

    people = pd.read_csv(folder / "people.csv").iloc[test]
    X, y = people.drop(columns="rich"), people["rich"]
    found = permutation_importance(clf, X, y, n_repeats=5, random_state=0)
    importances = pd.Series(found.importances_mean, X.columns).sort_values()
    importances.plot.barh(xlabel="accuracy lost if the column is shuffled")
    plt.tight_layout()
    plt.savefig("table.png")
    print(f"what matters, in table.png:\n{importances[::-1].round(3).to_string()}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
