"""The rows on which every epoch is evaluated, read once."""

import numpy as np
import torch

from sklearnish.data import Batch, Dataset
from sklearnish.data._batch import narrow, to_device


def validation_rows(dataset: Dataset, size: int, device: torch.device) -> list[Batch]:
    """Read the rows to the device, so that an epoch reads its blocks for training alone."""
    whole = to_device(dataset.read(np.arange(len(dataset)), finite=True), device)
    starts = range(0, len(dataset), size)
    return [narrow(whole, start, min(start + size, len(dataset))) for start in starts]
