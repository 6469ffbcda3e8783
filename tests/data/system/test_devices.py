import pytest
import torch

from sklearnish.data._system.devices import is_available, resolve_device


def test_auto_takes_the_best_there_is():
    best = resolve_device("auto")
    assert is_available(best)
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert best == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "xla", "meta:x", None, 1.5])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ValueError, match=f"device='?{device}'? is not available on this machine"):
        resolve_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_where_there_is_none():
    with pytest.raises(ValueError, match=r"device='cuda' is not .* Use 'auto' or 'cpu'"):
        resolve_device("cuda")


def test_devices_that_are_there():
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")
