"""
5. Modules and Datasets of your own
===================================

``module`` is any class of ``nn.Module``. This lesson writes one, searches over its arguments, and
feeds it from a torch ``Dataset``.
"""

import numpy as np
import torch
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.model_selection import GridSearchCV
from torch import nn

import sklearnish as sn


class Gated(nn.Module):
    """Two layers, one of which gates the other."""

    def __init__(self, in_features, out_features, hidden=16):
        super().__init__()
        self.value, self.gate = nn.Linear(in_features, hidden), nn.Linear(in_features, hidden)
        self.out = nn.Linear(hidden, out_features)

    def forward(self, X):
        return self.out(self.value(X) * torch.sigmoid(self.gate(X)))


# %%
# If its ``__init__`` names ``in_features`` and ``out_features``, it is given the number of
# features of a row and the number of outputs (classes, labels or targets). ``forward`` takes a
# batch, and returns *logits* in a classifier (numbers before the softmax, not probabilities) and
# values in a regressor.

X, y = make_moons(600, noise=0.2, random_state=0)
clf = sn.TorchClassifier(Gated, max_epochs=30, lr=0.01, random_state=0)
search = GridSearchCV(clf, {"module__hidden": [1, 32]}, cv=2).fit(X, y)
print(search.best_params_, f"accuracy {search.best_score_:.2f}")
search.best_estimator_.module_

# %%
# ``module__hidden`` sets one entry of ``module_params``; ``optimizer__weight_decay`` and
# ``criterion__label_smoothing`` work alike. scikit-learn's pictures work too:

import matplotlib.pyplot as plt

display = DecisionBoundaryDisplay.from_estimator(search.best_estimator_, X, alpha=0.5)
display.ax_.scatter(*X.T, c=y, s=10, edgecolors="black", linewidths=0.3)
display.ax_.set_title("What the gated module learned")

# %%
# Only the default network standardises its inputs. Your own module receives the numbers as they
# are, so put a scaler before the estimator, or begin with a ``BatchNorm1d``.
#
# A torch Dataset
# ---------------
#
# In PyTorch, a map-style ``Dataset`` has ``len(dataset)`` and ``dataset[i]``, which returns one
# ``(x, y)`` pair. A ``DataLoader`` draws row numbers, fetches the rows one at a time, and stacks
# them into a batch. Pass such a Dataset as it is:


class Waves(torch.utils.data.Dataset):
    """Noisy waves, made when they are asked for; the label is their shape."""

    def __init__(self, n):
        self.targets = np.arange(n) % 2

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        wave = np.sin(np.linspace(0, 12, 64) + rng.uniform(0, 6))
        if self.targets[i]:
            wave = np.sign(wave)
        x = torch.from_numpy(wave + rng.normal(0, 0.3, 64)).float()
        return torch.fft.rfft(x).abs(), int(self.targets[i])


waves = sn.as_dataset(Waves(600))
clf = sn.TorchClassifier(max_epochs=10, random_state=0).fit(waves[:400])
print(waves.shape, f"accuracy {clf.score(waves[400:]):.2f}")

# %%
# Labels are needed before training: from ``targets`` or ``labels`` if the Dataset has one of
# them, else by a pass over all rows. ``__getitem__`` may be random: in training every epoch draws
# again; everywhere else row ``i`` stays the same. An ``IterableDataset`` has no row numbers, so
# it cannot be shuffled or split and is refused.
#
# Several inputs
# --------------
#
# A module with several inputs takes a dict of arrays, whose keys are the arguments of its
# ``forward``. Integers stay integers, since an embedding needs them.


class TwoInputs(nn.Module):
    """An embedding of a shop, beside numbers."""

    def __init__(self, out_features):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.layer = nn.Linear(6, out_features)

    def forward(self, shop, numbers):
        return self.layer(torch.cat([self.embedding(shop), numbers], dim=1))


rng = np.random.default_rng(0)
inputs = {"shop": rng.integers(0, 10, 500), "numbers": rng.normal(size=(500, 2))}
sold = (inputs["shop"] > 4) ^ (inputs["shop"] == 2)
clf = sn.TorchClassifier(TwoInputs, max_epochs=20, lr=0.05, random_state=0).fit(inputs, sold)
print(f"accuracy {clf.score(inputs, sold):.2f}")

# %%
# A loop of your own
# ------------------
#
# ``ds.batches`` is the input pipeline without the estimator: shuffled, transformed and read
# ahead.

module, ds = Gated(2, 1), sn.as_dataset(X, y.astype("float32"))
optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
for X_batch, y_batch in ds.batches(64, shuffle=True, epochs=10, random_state=0):
    loss = nn.functional.binary_cross_entropy_with_logits(module(X_batch)[:, 0], y_batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"last loss {loss.item():.2f}")

# sphinx_gallery_start_ignore
plt.show()
# sphinx_gallery_end_ignore
