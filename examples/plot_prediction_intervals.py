"""
Prediction intervals
====================

``quantiles=`` predicts between which values the target lies, instead of its mean. Here the noise
grows with the input, so the interval has to.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

import sklearnish as sn

rng = np.random.default_rng(0)
n = 4_000
frame = pd.DataFrame({"size": rng.uniform(20, 150, n), "town": rng.choice(["Bonn", "Ulm"], n)})
rent = frame["size"] * frame["town"].map({"Bonn": 14, "Ulm": 11})
frame["rent"] = rent + rng.normal(0, 2, n) * frame["size"]
train, test = train_test_split(frame, random_state=0)

reg = sn.TabularRegressor(quantiles=(0.05, 0.5, 0.95), quality="fast", random_state=0)
reg.fit(train[["size", "town"]], train["rent"])

# %%
# Nine of ten rents should lie between the first and the last column.

low, middle, high = reg.predict(test[["size", "town"]]).T
inside = test["rent"].between(low, high)
print(f"inside of the interval: {inside.mean():.1%}")
print(f"D2 {reg.score(test[['size', 'town']], test['rent']):.2f}")
test.assign(low=low, middle=middle, high=high).head(4).round(0)

# %%

figure, ax = plt.subplots(layout="constrained")
ax.scatter(test["size"], test["rent"], s=3, color="lightgrey")
for town, color in [("Bonn", "#d55e00"), ("Ulm", "#0072b2")]:
    line = pd.DataFrame({"size": np.linspace(20, 150, 100), "town": town})
    low, middle, high = reg.predict(line).T
    ax.plot(line["size"], middle, color=color, label=town)
    ax.fill_between(line["size"], low, high, color=color, alpha=0.2)
ax.set(xlabel="size", ylabel="rent", title="Median, and the interval of 90 %")
ax.legend()

plt.show()
