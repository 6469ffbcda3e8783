import numpy as np
import pytest
import torch

from sklearnish.data._arguments import check_epochs, find_device, seed_of


@pytest.mark.parametrize("epochs", ["a", 0, -1, 1.5, True, None])
def test_epochs_are_counted_from_one(epochs):
    check_epochs(np.int64(3))
    with pytest.raises(
        ValueError, match=f"epochs must be an integer of at least 1, got '?{epochs}"
    ):
        check_epochs(epochs)


@pytest.mark.parametrize("random_state", ["a", -1, 1.5])
def test_a_seed_is_no_negative_number(random_state):
    with pytest.raises(
        ValueError, match=rf"integer of at least 0, or None .*, got '?{random_state}"
    ):
        seed_of(random_state)


def test_seeds_are_kept_and_none_draws_one():
    assert seed_of(0) == 0
    assert type(seed_of(np.uint8(7))) is int
    assert seed_of(None) != seed_of(None)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", None, 1.5])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ValueError, match=f"device='?{device}'? is not a device of this machine"):
        find_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_where_there_is_none():
    with pytest.raises(
        ValueError, match="device='cuda' is not a device of this machine; use 'cpu'"
    ):
        find_device("cuda")


def test_devices_that_are_there():
    assert find_device("cpu") == find_device(torch.device("cpu")) == torch.device("cpu")
