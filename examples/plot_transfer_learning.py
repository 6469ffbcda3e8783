"""
Transfer learning: freeze, then tune
====================================

A network learns on many images of one task. Then its features are used for another task with few
images: first the new head alone (``freeze=``), then all of it, the features slowly
(``lr_factors=``). A network of torchvision or timm with its weights goes the same way; this one
is small, so that the example needs no download.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import sklearnish as sn


class SmallNet(nn.Module):
    """Two convolutions and a head."""

    def __init__(self, out_features):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveMaxPool2d(2),
        )  # fmt: skip
        self.head = nn.Linear(128, out_features)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


digits = load_digits()
images = digits.images[:, None].astype(np.float32)
old, new = digits.target < 7, digits.target >= 7

# %%
# The first task: digits from 0 to 6, of which there are many.

settings = {"flip": "none", "crop": 0, "flip_average": False, "optimizer": "adam", "lr": 0.003}
first = sn.ImageClassifier(SmallNet, max_epochs=8, random_state=0, **settings)
first.fit(images[old], digits.target[old])

# %%
# The second one: 7, 8 and 9, with 15 images to learn from.

X_train, X_test, y_train, y_test = train_test_split(
    images[new], digits.target[new], train_size=15, stratify=digits.target[new], random_state=0
)
torch.manual_seed(0)
pretrained = first.module_.network
pretrained.head = nn.Linear(128, 3)

scores = {}
settings |= {"batch_size": 5, "lr": 0.01, "random_state": 0}
scratch = sn.ImageClassifier(SmallNet, max_epochs=30, **settings)
scores["from scratch"] = scratch.fit(X_train, y_train).score(X_test, y_test)

clf = sn.ImageClassifier(pretrained, freeze="features", max_epochs=20, warm_start=True, **settings)
scores["the head alone"] = clf.fit(X_train, y_train).score(X_test, y_test)

clf.set_params(freeze=None, lr_factors={"features": 0.1}, lr=0.002, max_epochs=10)
scores["then all of it"] = clf.fit(X_train, y_train).score(X_test, y_test)

for name, score in scores.items():
    print(f"{name:15} accuracy {score:.3f}")

# %%

pd.Series(scores)[::-1].plot.barh(xlim=(0.5, 1), xlabel="accuracy on 522 other images")
plt.tight_layout()

plt.show()
