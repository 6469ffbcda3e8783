"""
From a CSV file to a DataFrame with predictions
===============================================

Two ways. With pandas: read, encode text columns in a ColumnTransformer, fit, assign. And without
reading the file into memory: ``scan_csv`` converts it once into a cache that is read in batches.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import sklearnish as sn

rng = np.random.default_rng(0)
n = 2_000
flats = pd.DataFrame(
    {
        "area": rng.normal(70, 20, n).clip(20).round(),
        "rooms": rng.integers(1, 6, n),
        "age": rng.integers(0, 100, n),
        "city": rng.choice(["Bern", "Graz", "Ulm"], n),
    }
)
per_meter = flats["city"].map({"Bern": 25, "Graz": 13, "Ulm": 11}) - 0.05 * flats["age"]
flats["rent"] = (flats["area"] * per_meter + rng.normal(0, 50, n)).round(2)

temporary = tempfile.TemporaryDirectory()
csv = Path(temporary.name) / "flats.csv"
flats.to_csv(csv, index=False)

# %%
# With pandas
# -----------

train, test = train_test_split(pd.read_csv(csv), random_state=0)
encode = make_column_transformer(
    (OneHotEncoder(sparse_output=False), ["city"]), remainder="passthrough"
).set_output(transform="pandas")
model = make_pipeline(encode, sn.TorchRegressor(max_epochs=20, batch_size=64, random_state=0))
model.fit(train.drop(columns="rent"), train["rent"])
print(f"R2 {model.score(test.drop(columns='rent'), test['rent']):.3f}")

predicted = test.assign(prediction=model.predict(test.drop(columns="rent")).round(2))
predicted.head()

# %%

figure, ax = plt.subplots(layout="constrained")
for city, rows in predicted.groupby("city"):
    ax.scatter(rows["rent"], rows["prediction"], s=6, label=city)
ax.axline((0, 0), slope=1, color="grey", linewidth=1)
ax.set(xlabel="rent", ylabel="prediction")
ax.legend()

# %%
# From the file
# -------------
#
# Numbers alone, never whole in memory; without the city, so the score is worse.

ds = sn.scan_csv(csv, target="rent", columns=["area", "rooms", "age"])
train, test = train_test_split(ds, random_state=0)  # row numbers; nothing is read
reg = sn.TorchRegressor(max_epochs=20, batch_size=64, random_state=0).fit(train)
print(f"Without the city, batch by batch from the file: R2 {reg.score(test):.3f}")
test.head(3).assign(prediction=reg.predict(test[:3]).round(2))

# %%
# ``TabularRegressor`` takes text columns of files as they are.

plt.show()
