"""
Images in class folders, and augmentation
=========================================

Draws small JPEGs of shapes: bright and centred ones for training, dark ones off the centre for
testing. Then trains a small network on them with and without random changes.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image, ImageDraw

import sklearnish as sn

SIDE = 32
SHAPES = ("circle", "cross", "square", "triangle")


def draw(folder, n, spread, dark, seed):
    """Draw n images of each shape, up to `spread` pixels off the centre, on noise."""
    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
        for i in range(n):
            image = Image.fromarray(rng.integers(0, 160, (SIDE, SIDE, 3), dtype=np.uint8))
            x, y = (SIDE // 2 + rng.integers(-spread, spread + 1, 2)).tolist()
            r, pen = int(rng.integers(5, 8)), ImageDraw.Draw(image)
            color, box = tuple(rng.integers(120, 256, 3).tolist()), (x - r, y - r, x + r, y + r)
            if shape == "circle":
                pen.ellipse(box, outline=color, width=2)
            elif shape == "square":
                pen.rectangle(box, outline=color, width=2)
            elif shape == "triangle":
                pen.polygon([(x - r, y + r), (x + r, y + r), (x, y - r)], outline=color, width=2)
            else:
                pen.line((x - r, y, x + r, y), fill=color, width=2)
                pen.line((x, y - r, x, y + r), fill=color, width=2)
            image.point(lambda value: value * dark).save(folder / shape / f"{i}.jpg", quality=90)


temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
draw(folder / "train", n=60, spread=1, dark=1.0, seed=0)
draw(folder / "test", n=50, spread=8, dark=0.4, seed=1)

# %%
# ``scan_images`` lists the files; the folder of a file is its label. No image is read yet.

train, test = sn.scan_images(folder / "train"), sn.scan_images(folder / "test")
print(f"{len(train)} images of shape {train.row_shape}, classes {train.classes.tolist()}")

# %%
# What the network is given
# -------------------------
#
# ``augment`` takes a function of one image, which draws from ``rng``. ``crop=4`` moves images by
# up to four pixels, and every image is mirrored in every other epoch.


def darker(x, rng):
    """Make an image darker, by more or less."""
    return (x * rng.uniform(0.3, 1)).to(torch.uint8)


sn.plotting.BatchDisplay.from_dataset(train, augment=darker, n_rows=10)

# %%
# With and without
# ----------------

changes = {
    "as they are": {"flip": "none", "crop": 0},
    "mirrored, moved, darker": {"crop": 4, "augment": darker},
}
for name, params in changes.items():
    clf = sn.ImageClassifier(width=16, max_epochs=20, random_state=0, **params).fit(train)
    print(f"trained on images {name:24} accuracy {clf.score(test):.2f}")

# %%
# Images are decoded while the network trains. Did it wait for them?

sn.plotting.PipelineReportDisplay.from_estimator(clf)

plt.show()
