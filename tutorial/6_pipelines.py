"""
6. Pipelines over files, and scikit-learn's own estimators
==========================================================

Scalers, encoders, linear models and codes of rows: what scikit-learn does with arrays, done with
a file batch by batch.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sklearnish as sn

rng = np.random.default_rng(0)
flats = pd.DataFrame(
    {
        "area": rng.normal(70, 20, 6_000).clip(20).round(),
        "rooms": rng.integers(1, 6, 6_000),
        "city": rng.choice(["Bern", "Graz", "Ulm"], 6_000),
    }
)
rent = flats["area"] * flats["city"].map({"Bern": 25, "Graz": 13, "Ulm": 11})
flats["dear"] = np.where(rent + rng.normal(0, 100, 6_000) > 1_000, "yes", "no")

temporary = tempfile.TemporaryDirectory()
file = Path(temporary.name) / "flats.parquet"
flats.to_parquet(file, row_group_size=500)
ds = sn.scan_parquet(file, target="dear")
train, test = train_test_split(ds, stratify=ds.target, random_state=0)

# %%
# ``Streamed``
# ------------
#
# scikit-learn's transformers want whole arrays. ``Streamed`` fits any of them in one pass over
# the file, and applies it where rows are read.

columns = make_column_transformer(
    (StandardScaler(), ["area", "rooms"]), (OneHotEncoder(), ["city"])
)
model = make_pipeline(
    sn.preprocessing.Streamed(columns), sn.TorchClassifier(max_epochs=5, random_state=0)
)
model.fit(train, train.target)
print(f"accuracy {model.score(test, test.target):.3f}")
model

# %%
# ``Incremental``
# ---------------
#
# Some of scikit-learn's estimators learn piece by piece with ``partial_fit``: SGDClassifier,
# MiniBatchKMeans, IncrementalPCA, naive Bayes. ``Incremental`` gives them the batches of a file,
# shuffled in each epoch.

linear = make_pipeline(
    sn.preprocessing.Streamed(columns),
    sn.Incremental(SGDClassifier(random_state=0), max_epochs=3, random_state=0),
)
linear.fit(train, train.target)
print(f"accuracy {linear.score(test, test.target):.3f}")
names = linear[0].get_feature_names_out()
pd.Series(linear[-1].estimator_.coef_[0], names).round(2)

# %%
# Codes of rows
# -------------
#
# ``TorchTransformer`` trains a network to reconstruct rows through a bottleneck, without labels.
# ``transform`` gives what is in the bottleneck: here two numbers for the 64 pixels of a digit.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

X, y = load_digits(return_X_y=True)
codes = sn.TorchTransformer(n_components=2, max_epochs=30, random_state=0).fit(X)
points = codes.transform(X)
figure, ax = plt.subplots(layout="constrained")
figure.colorbar(ax.scatter(*points.T, c=y, s=6, cmap="tab10"), ax=ax, label="digit")
ax.set_title("Two numbers per image")

# %%
# It is a step like any other: ``make_pipeline(sn.TorchTransformer(n_components=8), clf)``. A
# Dataset is transformed into a Dataset, whose rows are computed as they are read.
#
# What does not work over files
# -----------------------------
#
# Tools that need the whole matrix cannot work lazily: scikit-learn's bare scalers and encoders,
# bagging, AdaBoost, ``RFE``. A Dataset of up to 1 GiB is converted to an array for them; above
# that they raise an error that says what to do, such as passing ``ds[:100_000]``.

# sphinx_gallery_start_ignore
plt.show()
# sphinx_gallery_end_ignore
