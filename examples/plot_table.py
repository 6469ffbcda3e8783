"""
A table with columns of every kind
==================================

Text, gaps and numbers from a CSV file, learned in a few lines. The table is made up here, after
the census table "Adult": who earns more than the median.
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

rng = np.random.default_rng(0)
n = 5_000
people = pd.DataFrame(
    {
        "age": rng.integers(18, 80, n),
        "job": rng.choice(list(PAY), n),
        "school": rng.choice(list(SCHOOL), n),
        "hours": rng.normal(38, 9, n).clip(5, 80).round(1),
        "gain": np.where(rng.random(n) < 0.1, rng.lognormal(8, 1, n), 0).round(),
    }
)
pay = people["job"].map(PAY) + people["school"].map(SCHOOL) + people["hours"] / 20
pay += 1.5 * np.sin((people["age"] - 18) / 20) + np.log1p(people["gain"]) / 4
pay += rng.normal(0, 0.5, n)
people["rich"] = np.where(pay > pay.median(), "yes", "no")
for name in ("job", "hours"):
    people.loc[rng.random(n) < 0.05, name] = None

temporary = tempfile.TemporaryDirectory()
file = Path(temporary.name) / "people.csv"
people.to_csv(file, index=False)

# %%
# Fit
# ---
#
# Categories, gaps and scales are taken care of by the estimator: nothing has to be encoded.

ds = sn.scan_csv(file, target="rich")
train, test = train_test_split(ds, stratify=ds.target, random_state=0)
clf = sn.TabularClassifier(quality="fast", random_state=0).fit(train)
print(f"accuracy {clf.score(test):.3f}")
clf.predict_proba(test[:3]).round(2)

# %%
# What it found in the columns:

clf.describe()

# %%
# What matters
# ------------
#
# How far the accuracy falls if a column is shuffled.

rows = test.to_pandas()
X, y = rows.drop(columns="rich"), rows["rich"]
found = permutation_importance(clf, X, y, n_repeats=3, random_state=0)
importances = pd.Series(found.importances_mean, X.columns).sort_values()
importances.plot.barh(xlabel="accuracy lost if the column is shuffled")
plt.tight_layout()

plt.show()
