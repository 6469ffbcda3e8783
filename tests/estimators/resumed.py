"""A fit that can be interrupted anywhere; run as a script, one that can be killed.

python -m tests.estimators.resumed TABLE FOLDER NUM_WORKERS ANSWERS
"""

import random
import sys
import time

import numpy as np
import torch
from torch import nn

import sklearnish as sn
from sklearnish.training._checkpoints import checkpoints as checkpointing


class Interrupted(Exception):
    """Raised in the middle of a training step."""


class Fuse:
    """Counts training steps; blows before one of them."""

    steps = 0
    last: int | None = None
    seconds = 0.0

    @classmethod
    def burn(cls):
        time.sleep(cls.seconds)
        if cls.last is not None and cls.steps >= cls.last:
            raise Interrupted
        cls.steps += 1

    @classmethod
    def new(cls, last=None):
        cls.steps, cls.last = 0, last


class Noisy(nn.Module):
    """Has all kinds of state: running statistics, dropout, numbers from every generator."""

    def __init__(self, in_features, out_features, hidden=8):
        super().__init__()
        self.first, self.last = nn.Linear(in_features, hidden), nn.Linear(hidden, out_features)
        self.norm, self.drop = nn.BatchNorm1d(hidden), nn.Dropout(0.3)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, X):
        if self.training:
            Fuse.burn()
            self.seen += len(X)
            X = X * (1 + 0.1 * random.random()) + 0.1 * np.random.random()  # noqa: NPY002
        return self.last(self.drop(torch.relu(self.norm(self.first(X)))))


def jittered(x, rng):
    return x + 0.1 * float(rng.normal())


def blurred(x):
    return x + 0.1 * torch.randn(x.shape)


def always_due(monkeypatch=None):
    """Save before every step, whatever it costs."""
    for name, value in (("INTERVAL", 0.0), ("SHARE", float("inf"))):
        if monkeypatch is None:
            setattr(checkpointing, name, value)
        else:
            monkeypatch.setattr(checkpointing, name, value)


def main(table, folder, num_workers, answers):
    """Fit, saving before every step; write all that came of it."""
    always_due()
    Fuse.seconds = 0.002
    ds = sn.scan_parquet(table, target="y")
    clf = sn.TorchClassifier(
        Noisy,
        max_epochs=4,
        batch_size=16,
        accumulate_steps=2,
        lr_schedule="cosine",
        augment=[jittered, blurred],
        early_stopping=True,
        validation_fraction=0.2,
        shuffle_memory="16KB",
        num_workers=int(num_workers),
        num_threads=1,
        checkpoint_dir=folder or None,
        random_state=0,
    )
    clf.fit(ds)
    state = {name: value.numpy() for name, value in clf.module_.state_dict().items()}
    losses = [[e["train_loss"], e["valid_loss"], e["lr"]] for e in clf.history_]
    np.savez(answers, losses=np.array(losses), answers=clf.predict_proba(ds), **state)


if __name__ == "__main__":
    # Under this name the module has an import path, as those of users do.
    from tests.estimators import resumed

    resumed.main(*sys.argv[1:])
