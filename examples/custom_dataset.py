"""Your own torch Dataset, with its own transform, in scikit-learn's tools.

Any map-style Dataset of (x, y) pairs will do. Its ``targets`` are used if it has them, so that
labels need no pass over the data.
"""

import numpy as np
import torch
from sklearn.metrics import classification_report
from sklearn.model_selection import cross_val_score, train_test_split
from torch import Tensor

import sklearnish as sn

SHAPES = ["sine", "square", "triangle"]


class Waves(torch.utils.data.Dataset):
    """Noisy waves of three shapes, made when they are asked for."""

    def __init__(self, n: int, transform=None) -> None:
        self.targets = np.arange(n) % 3
        self.transform = transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        rng = np.random.default_rng(i)
        phase = np.linspace(0, 4 * np.pi, 64) + rng.uniform(0, 2 * np.pi)
        wave = [np.sin, lambda p: np.sign(np.sin(p)), lambda p: np.arcsin(np.sin(p)) / 1.57]
        x = wave[self.targets[i]](phase) + rng.normal(0, 0.3, 64)
        x = torch.tensor(x, dtype=torch.float32)
        return (x if self.transform is None else self.transform(x)), int(self.targets[i])


def spectrum(x: Tensor) -> Tensor:
    """How strong each frequency is, whatever the phase."""
    return torch.fft.rfft(x).abs()


def main() -> None:
    """Fit the same classifier on the waves as they are, and on their spectra."""
    for transform in (None, spectrum):
        ds = sn.as_dataset(Waves(600, transform))
        clf = sn.TorchClassifier(max_epochs=10, batch_size=64, random_state=0)
        scores = cross_val_score(clf, ds, ds.target, cv=2)
        name = "raw waves" if transform is None else "spectra"
        print(f"{name:10} {ds.shape[1]} numbers a row, accuracy {scores.mean():.2f}")

    train, test = train_test_split(ds, stratify=ds.target, random_state=0)
    clf.fit(train)
    print(classification_report(test.target, clf.predict(test), target_names=SHAPES))


if __name__ == "__main__":
    main()
