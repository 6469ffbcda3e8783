"""
Feature code of pandas over a file
==================================

``map_frames`` passes rows through a function of DataFrames as they are read: text, dates and gaps
become numbers where the rows are read, in worker processes too. The file is never whole in
memory.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import PredictionErrorDisplay
from sklearn.model_selection import train_test_split

import sklearnish as sn

LINES = ["U1", "U2", "S3", "Bus"]
TYPICAL = 400.0

rng = np.random.default_rng(0)
n = 20_000
minutes = pd.to_timedelta(rng.integers(0, 366 * 24 * 60, n), "min")
rides = pd.DataFrame(
    {
        "planned": pd.Timestamp("2024-01-01") + minutes,
        "line": rng.choice(LINES, n),
        "passengers": rng.gamma(4.0, 100.0, n).round(),
    }
)
rush = rides["planned"].dt.hour.isin([7, 8, 17, 18]) & (rides["planned"].dt.day_of_week < 5)
rides["delay"] = rush * 4 + rides["line"].eq("Bus") * 3 + rides["passengers"] / 200
rides["delay"] += rng.exponential(0.5, n)
rides.loc[rng.random(n) < 0.05, "passengers"] = None

temporary = tempfile.TemporaryDirectory()
rides.to_parquet(Path(temporary.name) / "rides.parquet", row_group_size=2_000)

ds = sn.scan_parquet(Path(temporary.name) / "rides.parquet", target="delay")
ds

# %%
# The function sees any chunk of rows, so nothing in it may depend on which rows these are.


def features(df):
    """Numbers of a chunk of rows."""
    hour = df["planned"].dt.hour + df["planned"].dt.minute / 60
    return pd.DataFrame(
        {
            "passengers": df["passengers"].fillna(TYPICAL) / TYPICAL,
            "uncounted": df["passengers"].isna(),
            "workday": df["planned"].dt.day_of_week < 5,
            **{f"from {h}": hour.between(h, h + 1, inclusive="left") for h in range(24)},
            **{line: df["line"] == line for line in LINES},
        }
    )


numbers = ds.map_frames(features)  # nothing but a few rows is read
print(f"What the network sees: {numbers.shape[1]} columns, such as")
numbers.select(["passengers", "uncounted", "Bus"]).head(3)

# %%

train, test = train_test_split(numbers, random_state=0)
reg = sn.TorchRegressor(max_epochs=5, random_state=0).fit(train)
print(f"R2 {reg.score(test):.3f}")
PredictionErrorDisplay.from_predictions(
    test.target, reg.predict(test), kind="actual_vs_predicted", scatter_kwargs={"s": 4}
)

plt.show()
