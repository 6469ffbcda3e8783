"""
Your own torch Dataset, and one with two inputs
===============================================

Any map-style torch ``Dataset`` of ``(x, y)`` pairs goes into scikit-learn's tools. Its
``targets`` are used if it has them, so that labels need no pass over the data.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import cross_val_score, train_test_split
from torch import nn

import sklearnish as sn

SHAPES = ["sine", "square", "triangle"]


class Waves(torch.utils.data.Dataset):
    """Noisy waves of three shapes, made when they are asked for."""

    def __init__(self, n, transform=None):
        self.targets = np.arange(n) % 3
        self.transform = transform

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        phase = np.linspace(0, 4 * np.pi, 64) + rng.uniform(0, 2 * np.pi)
        wave = [np.sin, lambda p: np.sign(np.sin(p)), lambda p: np.arcsin(np.sin(p)) / 1.57]
        x = wave[self.targets[i]](phase) + rng.normal(0, 0.3, 64)
        x = torch.tensor(x, dtype=torch.float32)
        return (x if self.transform is None else self.transform(x)), int(self.targets[i])


figure, axes = plt.subplots(1, 3, figsize=(8, 2), layout="constrained", sharey=True)
for i, ax in enumerate(axes):
    ax.plot(Waves(3)[i][0])
    ax.set_title(SHAPES[i])

# %%
# The same classifier on the waves as they are, and on their spectra.


def spectrum(x):
    """How strong each frequency is, whatever the phase."""
    return torch.fft.rfft(x).abs()


clf = sn.TorchClassifier(max_epochs=10, batch_size=64, random_state=0)
for transform in (None, spectrum):
    ds = sn.as_dataset(Waves(600, transform))
    scores = cross_val_score(clf, ds, ds.target, cv=2)
    name = "raw waves" if transform is None else "spectra"
    print(f"{name:10} {ds.shape[1]} numbers a row, accuracy {scores.mean():.2f}")

# %%
# Which shapes are confused?

train, test = train_test_split(ds, stratify=ds.target, random_state=0)
found = clf.fit(train).predict(test)
ConfusionMatrixDisplay.from_predictions(test.target, found, display_labels=SHAPES)

# %%
# Two inputs
# ----------
#
# A Dataset may return a dict of tensors; a module has an argument for each. Here the wave comes
# with a number that says which of two senders it is from. The second one turns the wave upside
# down and the label depends on that.


class TwoSenders(torch.utils.data.Dataset):
    """Saw teeth that rise or fall, from two senders; one of them sends them upside down."""

    def __init__(self, n):
        rng = np.random.default_rng(0)
        self.targets = rng.integers(0, 2, n)
        self.sender = rng.integers(0, 2, n)

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        wave = (np.linspace(0, 3, 32) + rng.uniform()) % 1 - 0.5
        turned = (1 if self.targets[i] else -1) * (1 if self.sender[i] else -1)
        wave = torch.from_numpy(turned * wave + rng.normal(0, 0.1, 32)).float()
        return {"wave": wave, "sender": torch.tensor(self.sender[i])}, int(self.targets[i])


class TwoInputs(nn.Module):
    """An embedding of the sender scales what is seen in the wave."""

    def __init__(self, out_features):
        super().__init__()
        self.embedding = nn.Embedding(2, 16)
        self.layers = nn.Sequential(nn.Linear(31, 16), nn.ReLU())
        self.out = nn.Linear(16, out_features)

    def forward(self, wave, sender):
        return self.out(self.layers(wave.diff(dim=1)) * self.embedding(sender))


pairs = sn.as_dataset(TwoSenders(900))
train, test = train_test_split(pairs, stratify=pairs.target, random_state=0)
clf = sn.TorchClassifier(TwoInputs, max_epochs=20, lr=0.01, random_state=0).fit(train)
print(f"two inputs: accuracy {clf.score(test):.2f}")

plt.show()
