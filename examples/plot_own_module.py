"""
Your own module, loss and optimizer
===================================

A module for times of day: numbers go in as waves of several frequencies, so that midnight is next
to midnight. The loss and the optimizer are torch's, and their arguments are parameters to be
searched.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.model_selection import GridSearchCV
from torch import nn

import sklearnish as sn


class Waves(nn.Module):
    """Sines and cosines of the hour, and two layers."""

    def __init__(self, in_features, out_features, n_waves=4, hidden=32):
        super().__init__()
        frequencies = torch.arange(1, n_waves + 1) * 2 * torch.pi / 24
        self.register_buffer("frequencies", frequencies)
        self.layers = nn.Sequential(
            nn.Linear(2 * n_waves * in_features, hidden), nn.ReLU(), nn.Linear(hidden, out_features)
        )

    def forward(self, X):
        angles = (X[:, :, None] * self.frequencies).flatten(1)
        return self.layers(torch.cat([angles.sin(), angles.cos()], dim=1))


rng = np.random.default_rng(0)
hours = rng.uniform(0, 24, (2_000, 1))
rides = (
    20 + 30 * np.exp(-((hours[:, 0] - 8) ** 2) / 2) + 25 * np.exp(-((hours[:, 0] - 18) ** 2) / 4)
)
rides += rng.standard_t(2, 2_000) * 4  # some days are quite unlike the others

# %%
# ``nn.HuberLoss`` takes far-off rows less seriously. A name with two underscores reaches into the
# module (``module__``), the loss (``criterion__``) or the optimizer (``optimizer__``).

reg = sn.TorchRegressor(
    Waves,
    criterion=nn.HuberLoss,
    optimizer=torch.optim.AdamW,
    optimizer_params={"weight_decay": 1e-4},
    lr=0.01,
    max_epochs=15,
    random_state=0,
)
grid = {"module__n_waves": [1, 4, 8], "criterion__delta": [0.3, 3.0]}
search = GridSearchCV(reg, grid, cv=2, scoring="neg_mean_absolute_error").fit(hours, rides)
print(search.best_params_)
sn.plotting.SearchDisplay.from_estimator(search)

# %%

line = np.linspace(0, 24, 400)[:, None]
figure, ax = plt.subplots(layout="constrained")
ax.scatter(hours, rides, s=3, color="lightgrey")
for n_waves in (1, 8):
    fitted = search.best_estimator_.set_params(module__n_waves=n_waves).fit(hours, rides)
    ax.plot(line, fitted.predict(line), label=f"{n_waves} wave{'s' * (n_waves > 1)}")
ax.set(xlabel="hour", ylabel="rides", ylim=(0, 80), xticks=range(0, 25, 6))
ax.legend()

plt.show()
