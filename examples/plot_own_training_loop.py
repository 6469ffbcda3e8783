"""
The input pipeline alone, for a loop of your own
================================================

``ds.batches`` yields tensors: shuffled again in each epoch, transformed, augmented and read
ahead. A seed fixes them all, whatever the number of workers.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from torch import nn

import sklearnish as sn

temporary = tempfile.TemporaryDirectory()
file = Path(temporary.name) / "rows.parquet"
rng = np.random.default_rng(0)
frame = pd.DataFrame(rng.normal(size=(20_000, 6)), columns=list("abcdef")).astype("float32")
frame["y"] = ((frame.a**2 + frame.b**2) > 1.4).astype("float32")
frame.to_parquet(file, row_group_size=2_000)

# %%
# Functions of rows: one that always applies, and one that draws noise in training.


def add_squares(X):
    """Add columns to any chunk of rows."""
    return torch.cat([X, X**2], dim=1)


def jitter(x, rng):
    """Add a little noise to one row, other noise in each epoch."""
    return x + 0.05 * torch.from_numpy(rng.standard_normal(len(x), dtype=np.float32))


ds = sn.scan_parquet(file, target="y").map_batches(add_squares)
train, test = train_test_split(ds, random_state=0)  # row numbers; nothing is read yet

# %%
# The loop, as in any program of PyTorch.

torch.manual_seed(0)
module = nn.Sequential(nn.Linear(ds.shape[1], 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
losses, accuracies = [], []
for epoch in range(4):
    for X, y in train.batches(256, shuffle=True, augment=jitter, random_state=epoch):
        loss = nn.functional.binary_cross_entropy_with_logits(module(X)[:, 0], y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    with torch.no_grad():
        right = sum(int(((module(X)[:, 0] > 0) == (y > 0.5)).sum()) for X, y in test.batches(1024))
    accuracies.append(right / len(test))
    print(f"epoch {epoch + 1}: last loss {loss.item():.3f}, accuracy {accuracies[-1]:.3f}")

# %%

figure, ax = plt.subplots(layout="constrained")
ax.plot(losses, linewidth=1)
ax.set(xlabel="Step", ylabel="Loss of the batch")

plt.show()
