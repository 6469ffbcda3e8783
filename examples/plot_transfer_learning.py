"""
Transfer learning: freeze, then tune
====================================

A network learns on many images of one task. Then its features are used for another task with few
images: first a new head alone (``freeze=``), then all of it, the features slowly
(``lr_factors=``). A network of torchvision or timm with its weights goes the same way; this one
is small, so that the example needs no download.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

import sklearnish as sn

SIDE = 16


def stripes(angles, rng):
    """Draw an image of noisy stripes for each angle."""
    y, x = np.mgrid[:SIDE, :SIDE]
    angles = np.deg2rad(angles)[:, None, None]
    waves = np.sin(
        1.4 * (x * np.cos(angles) + y * np.sin(angles)) + rng.uniform(0, 6, angles.shape)
    )
    return (waves + rng.normal(0, 1.5, waves.shape))[:, None].astype(np.float32)


class SmallNet(nn.Module):
    """Two convolutions and a head."""

    def __init__(self, out_features):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip
        self.head = nn.Linear(32, out_features)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


# %%
# The first task: six angles, 3,000 images.

rng = np.random.default_rng(0)
settings = {"flip": "none", "crop": 0, "flip_average": False, "optimizer": "adam", "lr": 0.003}
y_old = rng.integers(0, 6, 3_000)
first = sn.ImageClassifier(SmallNet, max_epochs=8, random_state=0, **settings)
first.fit(stripes(30 * y_old, rng), y_old)
print(f"first task: accuracy {first.score(stripes(30 * y_old, rng), y_old):.2f}")

# %%
# The second one: three other angles, and five images of each to learn from.

y_train, y_test = np.arange(15) % 3, np.arange(900) % 3
X_train, X_test = stripes(15 + 25 * y_train, rng), stripes(15 + 25 * y_test, rng)
sn.plotting.BatchDisplay.from_dataset(sn.as_dataset(X_train, y_train), n_rows=6)

# %%
# From scratch; with the features of the first network and a new head; and with all of it tuned
# after that.

scores = {}
settings |= {"batch_size": 5, "max_epochs": 40, "random_state": 0}
scratch = sn.ImageClassifier(SmallNet, **settings).fit(X_train, y_train)
scores["from scratch"] = scratch.score(X_test, y_test)

torch.manual_seed(0)
pretrained = first.module_.network
pretrained.head = nn.Linear(32, 3)
clf = sn.ImageClassifier(pretrained, freeze="features", warm_start=True, **settings)
scores["the head alone"] = clf.set_params(lr=0.01).fit(X_train, y_train).score(X_test, y_test)

clf.set_params(freeze=None, lr_factors={"features": 0.1}, lr=0.001, max_epochs=10)
scores["then all of it"] = clf.fit(X_train, y_train).score(X_test, y_test)

for name, score in scores.items():
    print(f"{name:15} accuracy {score:.3f}")

# %%
# With so few images, the features of the first task are worth most.

figure, ax = plt.subplots(figsize=(6, 2.5), layout="constrained")
pd.Series(scores)[::-1].plot.barh(ax=ax, xlim=(0.3, 1), xlabel="accuracy on 900 other images")

plt.show()
