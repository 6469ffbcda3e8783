"""
A linear model of scikit-learn over a file
==========================================

``Incremental`` reads a file batch by batch, shuffled, and gives each batch to ``partial_fit``. So
SGDClassifier, MiniBatchKMeans, IncrementalPCA or naive Bayes learn from data larger than memory.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearnish as sn

temporary = tempfile.TemporaryDirectory()
file = Path(temporary.name) / "rows.parquet"
rng = np.random.default_rng(0)
X = rng.normal(size=(20_000, 10)) * np.arange(1, 11)
frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)])
frame["label"] = np.where(X[:, 1] - X[:, 5] / 3 + rng.normal(size=len(X)) > 0, "yes", "no")
frame.to_parquet(file, row_group_size=1_000)

# %%
# The scaler is fitted in one pass over the file, and applied where rows are read.

ds = sn.scan_parquet(file, target="label")
train, test = train_test_split(ds, random_state=0)  # row numbers; nothing is read

model = make_pipeline(
    sn.preprocessing.Streamed(StandardScaler()),
    sn.Incremental(SGDClassifier(random_state=0), max_epochs=3, random_state=0),
)
search = GridSearchCV(model, {"incremental__estimator__alpha": [1e-4, 1e-2, 1]}, cv=2)
search.fit(train, train.target)
print(f"Best: {search.best_params_}")
print(f"accuracy {search.score(test, test.target):.3f}")

# %%
# Two columns matter: x1 and x5.

weights = search.best_estimator_[-1].estimator_.coef_[0]
pd.Series(weights, ds.columns).plot.barh(title="Weights of the standardised columns")
plt.tight_layout()

# %%
# ``sn.predict_to`` writes the predictions of any fitted model of scikit-learn, some rows at a
# time.

sn.predict_to(search, Path(temporary.name) / "predictions.parquet", test, columns=["row"])
print(pd.read_parquet(Path(temporary.name) / "predictions.parquet").head(3))

plt.show()
