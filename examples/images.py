"""Images in class folders: augmentation, and worker processes that decode.

Draws a few small JPEGs of shapes, in one position for training and anywhere for testing, and
trains a small convolutional network with and without random shifts and flips.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

import sklearnish as sn

SIDE = 32


def draw(folder: Path, n: int, spread: int, seed: int) -> None:
    """Draw n pictures of each shape, up to `spread` pixels off the centre, on noise."""
    rng = np.random.default_rng(seed)
    for shape in ("circle", "cross", "square", "triangle"):
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
            image.save(folder / shape / f"{i}.jpg", quality=90)


def shift_and_flip(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Move a picture by up to 8 pixels either way, and mirror every second one."""
    x = torch.roll(x, rng.integers(-8, 9, 2).tolist(), dims=(1, 2))
    return x.flip(2) if rng.random() < 0.5 else x


class SmallCNN(nn.Sequential):
    """Three convolutions and a linear layer; sklearnish passes ``out_features``."""

    def __init__(self, out_features: int) -> None:
        super().__init__(
            nn.BatchNorm2d(3),  # pictures arrive as 0 to 255
            *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Flatten()),
            nn.Linear(32 * (SIDE // 4) ** 2, out_features),
        )


def main(folder: Path) -> None:
    """Fit twice, compare on pictures that neither has seen."""
    draw(folder / "train", n=60, spread=1, seed=0)
    draw(folder / "test", n=50, spread=8, seed=1)
    train, test = sn.scan_images(folder / "train"), sn.scan_images(folder / "test")
    print(f"{len(train)} pictures of shape {train.row_shape}, classes {train.classes.tolist()}")

    for name, augment in [("as they are", None), ("shifted and flipped", shift_and_flip)]:
        clf = sn.TorchClassifier(
            SmallCNN, augment=augment, max_epochs=25, batch_size=32, num_workers=2, random_state=0
        ).fit(train)
        print(f"trained on pictures {name:20} accuracy {clf.score(test):.2f}")
    print(clf.pipeline_report_.to_frame()[["rows", "seconds", "wait", "read"]].tail(3).round(3))


if __name__ == "__main__":  # worker processes may import this file
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
