"""
4. Functions of rows
====================

Rows can be changed on the way to the model: a logarithm that always applies, or noise that is
drawn again in each epoch and makes the model robust (*augmentation*). Rare rows can be drawn more
often.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import sklearnish as sn

digits = load_digits()
images = digits.images[:, None].astype(np.float32)  # (n, channels, height, width)
ds = sn.as_dataset(images, digits.target)
train, test = train_test_split(ds, stratify=ds.target, random_state=0)

# %%
# Always: ``map``
# ---------------
#
# ``ds.map(f)`` passes each row through ``f`` whenever it is read, for predictions too. ``f``
# takes a tensor and returns one. ``ds.map_batches(f)`` is the same for many rows at once, and
# faster.


def bright(X):
    """Scale any number of images to 0..1, and brighten them."""
    return (X / 16).sqrt()


train, test = train.map_batches(bright), test.map_batches(bright)

# %%
# In training only: ``augment``
# -----------------------------
#
# A function with an argument ``rng`` is given a NumPy generator, so that ``random_state`` decides
# what it draws.


def shifted(x, rng):
    """Shift an image by up to a pixel, and add noise."""
    moved = x.roll(tuple(rng.integers(-1, 2, size=2).tolist()), (1, 2))
    return moved + 0.05 * torch.from_numpy(rng.random(x.shape, dtype=np.float32))


# %%
# Look at what the model is given, before you train on it:

sn.plotting.BatchDisplay.from_dataset(train, augment=shifted, n_rows=12)

# %%
# Then train with and without. Shifted test images show what was gained.


def moved_down(X):
    """Shift images by a pixel."""
    return X.roll(1, 2)


for name, augment in [("as they are", None), ("shifted, with noise", shifted)]:
    clf = sn.TorchClassifier(max_epochs=40, augment=augment, random_state=0).fit(train)
    accuracy, moved = clf.score(test), clf.score(test.map_batches(moved_down))
    print(f"trained on images {name:20} accuracy {accuracy:.2f}, on shifted images {moved:.2f}")

# %%
# The places for a function
# -------------------------
#
# ============================  ====================================  =======================
# where                         is given                              when
# ============================  ====================================  =======================
# ``ds.map(f)``                 one row                               whenever rows are
#                                                                     read, to predict too
# ``ds.map_batches(f)``         any number of rows                    the same
# ``ds.map_frames(f)``          any number of rows as a DataFrame     the same, before others
# ``augment=f``                 one row                               in training, each epoch
# ``augment=sn.per_batch(f)``   exactly one training batch, and its   in training, on the
#                               labels if it takes two arguments      device
# ============================  ====================================  =======================
#
# What learns from data (scalers, encoders) belongs in a scikit-learn ``Pipeline``. The default
# network standardises its inputs itself.
#
# Which rows: samplers
# --------------------
#
# A **sampler** decides which rows an epoch has, and in which order: ``"shuffle"`` (default),
# ``"sequential"``, ``"balanced"`` (each class equally often), ``"weighted"`` (in proportion to
# the weights), or a function that returns row numbers. Here nine tenths of the sevens are
# missing:

few = np.flatnonzero((train.target != 7) | (np.arange(len(train)) % 10 == 0))
for sampler in ("shuffle", "balanced"):
    drawn = [labels for _, labels in train[few].batches(64, sampler=sampler, random_state=0)]
    counts = np.bincount(np.concatenate(drawn), minlength=10)
    print(f"{sampler:9} sevens in an epoch: {counts[7]:3}, eights: {counts[8]:3}")

# %%
# ``class_weight="balanced"`` and ``sample_weight`` weight the loss instead, as elsewhere in
# scikit-learn. With ``sampler="weighted"`` the weights decide how often a row is drawn, and are
# not applied a second time.
#
# Pass a function, not a torch ``Sampler``: one that is bound to all rows would be wrong in a
# fold.

# sphinx_gallery_start_ignore
plt.show()
# sphinx_gallery_end_ignore
