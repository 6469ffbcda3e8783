"""
2. Data larger than memory
==========================

``X`` may be a file that does not fit into memory. This lesson writes one (a small one, so that it
takes seconds), and does with it what you do with arrays.
"""

# sphinx_gallery_thumbnail_path = "_static/waiting.png"

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
names = [f"x{i}" for i in range(8)]
frame = pd.DataFrame(rng.normal(size=(20_000, 8)), columns=names).astype("float32")
frame["label"] = np.where(frame.x0 * frame.x1 + frame.x2 > 0, "yes", "no")

temporary = tempfile.TemporaryDirectory()
file = Path(temporary.name) / "rows.parquet"
frame.to_parquet(file, row_group_size=1_000)

# %%
# Datasets
# --------
#
# A ``Dataset`` is a lazy view of rows: where they are stored, which rows are selected, and which
# columns are features, target and weights. ``scan_parquet`` reads the footer of the file, not the
# data. At the end of a cell, a Dataset shows its first rows.

import sklearnish as sn

ds = sn.scan_parquet(file, target="label")
ds

# %%
# Indexing gives another view and reads nothing. scikit-learn needs no more: for it, a
# cross-validation fold is an array of row numbers.

from sklearn.model_selection import train_test_split

train, test = train_test_split(ds, stratify=ds.target, random_state=0)
print(train.shape, test[:3].shape, test[test.target == "yes"].shape)
test.head(2)

# %%
# Fit, score, search
# ------------------
#
# The estimators find the target in the Dataset by themselves.

clf = sn.TorchClassifier(max_epochs=4, random_state=0).fit(train)
print(f"accuracy {clf.score(test):.3f}")

# %%
# ``ds.target`` reads the column of labels alone. Pass it to scikit-learn together with the
# Dataset, so that it can stratify folds and call any scorer. Every search over files has this
# form:

from sklearn.model_selection import GridSearchCV

search = GridSearchCV(
    sn.TorchClassifier(max_epochs=2, random_state=0), {"batch_size": [64, 512]}, cv=2
)
search.fit(train, train.target)
print(search.best_params_, f"accuracy {search.score(test, test.target):.3f}")

# %%
# ``predict`` selects the columns of ``fit`` by name. A model fitted on a file predicts on a
# DataFrame with the same columns, and the other way round.

some = frame.head(3)
some.assign(prediction=clf.predict(some[names]))

# %%
# Answers larger than memory
# --------------------------
#
# ``predict_to`` writes predictions to a file while they are computed, so neither rows nor
# predictions have to fit into memory. ``columns`` copies columns of the file next to them;
# ``"row"`` is the number of the row.

answers = Path(temporary.name) / "answers.parquet"
clf.predict_to(answers, test, method="predict_proba", columns=["row", "label"])
pd.read_parquet(answers).head(3).round(3)

# %%
# What can be scanned
# -------------------
#
# ==================================================  ======================================
# you have                                            you write
# ==================================================  ======================================
# arrays, DataFrames, tensors, sparse matrices        ``fit(X, y)``, ``sn.as_dataset(X, y)``
# Parquet: files, a glob, a folder, ``year=2020/``    ``sn.scan_parquet(path, target="y")``
# CSV, also compressed                                ``sn.scan_csv(path, target="y")``
# ``.npy`` of any size                                ``sn.scan_npy("X.npy", target="y.npy")``
# images in class folders or a tar                    ``sn.scan_images(folder, size=64)``
# your own torch ``Dataset``                          ``fit(dataset)``
# ==================================================  ======================================
#
# How memory is kept small
# ------------------------
#
# Rows of files are shuffled in *windows*: some blocks (row groups of a Parquet file) are drawn at
# random and read together, and their rows are mixed. Each block is read once per epoch. A window
# takes an eighth of ``shuffle_memory`` (256 MB by default), whatever the size of the file.
#
# A file that cannot be read efficiently as it is gets a one-time copy in the cache folder (the
# environment variable ``SKLEARNISH_CACHE`` names another one): CSV always, since text has no row
# index; Parquet with row groups larger than a window, as pandas writes them by default; and files
# that are sorted by their label, since a window would hold one class only. A message tells you.
# To avoid it, write Parquet in random order, with row groups of a few megabytes, as above.
