"""
A forecast from windows of a time series
========================================

``ds.windows`` makes stretches of neighbouring rows the rows of a Dataset, over an array or a file,
without a copy. Here 48 hours of temperature and load tell the load of the next 24 hours.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import TimeSeriesSplit, cross_val_score

import sklearnish as sn

rng = np.random.default_rng(0)
n = 3_000
hours = pd.date_range("2024-01-01", periods=n, freq="h")
weather = pd.Series(rng.normal(0, 1, n)).ewm(span=72).mean() * 15
temperature = 10 + 5 * np.sin(np.arange(n) * 2 * np.pi / 24) + weather
work = ((hours.hour > 6) & (hours.hour < 19) & (hours.day_of_week < 5)).astype(float)
load = 50 - temperature + 12 * work + rng.normal(0, 0.5, n)

temporary = tempfile.TemporaryDirectory()
file = Path(temporary.name) / "load.parquet"
frame = pd.DataFrame({"time": hours, "temperature": temperature, "work": work, "load": load})
frame.to_parquet(file, row_group_size=500)

# %%
# A row is a window of 48 hours; its targets are the loads of the 24 hours after it.

series = sn.scan_parquet(file, target="load", columns=["temperature", "work", "load"])
ds = series.windows(48, horizon=range(1, 25))
print(ds.shape, ds.target.shape)

# %%
# Neighbouring windows share rows. ``TimeSeriesSplit`` leaves out ``ds.gap`` windows between
# training and test windows, so that no row is in both.

reg = sn.TorchRegressor(max_epochs=20, random_state=0)
folds = TimeSeriesSplit(3, gap=ds.gap)
print("R2 of three folds:", cross_val_score(reg, ds, ds.target, cv=folds).round(3))

# %%
# The last windows are a test of a fit on those before.

train, test = ds[: -200 - ds.gap], ds[-200:]
reg.fit(train)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for window in (0, 30, 60, 90):
    ahead = np.arange(window, window + 24)
    axes[0].plot(ahead, test.target[window], color="lightgrey", linewidth=4)
    axes[0].plot(ahead, reg.predict(test[[window]])[0], color="#d55e00")
axes[0].set(xlabel="hour", ylabel="load", title="Four forecasts (red) and what came")
errors = np.abs(reg.predict(test) - test.target).mean(0)
axes[1].plot(np.arange(1, 25), errors)
axes[1].set(xlabel="hours ahead", ylabel="mean absolute error", ylim=0)

plt.show()
