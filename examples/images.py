"""Images in class folders: what training changes in them, and worker processes that decode.

Draws a few small JPEGs of shapes, bright ones for training and dark ones for testing, and trains a
small network on them with and without random changes.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

import sklearnish as sn

SIDE = 32
SHAPES = ("circle", "cross", "square", "triangle")


def draw(folder: Path, n: int, spread: int, dark: float, seed: int) -> None:
    """Draw n images of each shape, up to `spread` pixels off the centre, on noise."""
    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
        for i in range(n):
            image = Image.fromarray(rng.integers(0, 160, (SIDE, SIDE, 3), dtype=np.uint8))
            x, y = (SIDE // 2 + rng.integers(-spread, spread + 1, 2)).tolist()
            r, pen = int(rng.integers(5, 8)), ImageDraw.Draw(image)
            color = tuple(rng.integers(120, 256, 3).tolist())
            if shape == "circle":
                pen.ellipse((x - r, y - r, x + r, y + r), outline=color, width=2)
            elif shape == "square":
                pen.rectangle((x - r, y - r, x + r, y + r), outline=color, width=2)
            elif shape == "triangle":
                pen.polygon([(x - r, y + r), (x + r, y + r), (x, y - r)], outline=color, width=2)
            else:
                pen.line((x - r, y, x + r, y), fill=color, width=2)
                pen.line((x, y - r, x, y + r), fill=color, width=2)
            image.point(lambda value: value * dark).save(folder / shape / f"{i}.jpg", quality=90)


def darker(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Make an image darker, by more or less."""
    return (x * rng.uniform(0.3, 1)).to(torch.uint8)


def main(folder: Path) -> None:
    """Fit twice, compare on images that neither has seen."""
    draw(folder / "train", n=60, spread=1, dark=1.0, seed=0)
    draw(folder / "test", n=50, spread=8, dark=0.4, seed=1)
    train, test = sn.scan_images(folder / "train"), sn.scan_images(folder / "test")
    print(f"{len(train)} images of shape {train.row_shape}, classes {train.classes.tolist()}")

    plain: dict[str, Any] = {"flip": "none", "crop": 0}
    changed: dict[str, Any] = {"crop": 4, "augment": darker}
    for name, params in [("as they are", plain), ("mirrored, moved and darker", changed)]:
        clf = sn.ImageClassifier(
            width=16, max_epochs=20, num_workers=2, random_state=0, **params
        ).fit(train)
        print(f"trained on images {name:27} accuracy {clf.score(test):.2f}")
    print(clf.pipeline_report_.to_frame()[["rows", "seconds", "wait", "read"]].tail(3).round(3))


if __name__ == "__main__":  # worker processes may import this file
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
