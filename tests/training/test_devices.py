import pytest
import torch

from sklearnish.training import resolve_device


def test_auto_takes_the_best_there_is():
    best = resolve_device("auto")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert best == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "xla", "meta:x"])
def test_a_device_that_is_not_there_raises(device):
    with pytest.raises(ValueError, match=device):
        resolve_device(device)
