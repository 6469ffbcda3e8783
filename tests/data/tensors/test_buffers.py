import pickle

import pytest
import torch

from sklearnish.data._system.machine import private_memory
from sklearnish.data._tensors.buffers import _LARGE, Buffers, empty


@pytest.mark.parametrize("n", [0, 3, _LARGE // 8, _LARGE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8, torch.int64])
def test_a_tensor_that_can_be_written_and_outlives_its_maker(n, dtype):
    tensor = empty((n, 2), dtype)
    assert tensor.shape == (n, 2)
    assert tensor.dtype == dtype
    assert tensor.is_contiguous()
    tensor[:] = 7
    assert bool((tensor.clone() == 7).all())


def test_freed_memory_goes_back_to_the_system():
    def resident():
        with open("/proc/self/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * 4096

    before = resident()
    tensor = empty((64, 2**20), torch.uint8)
    tensor.fill_(1)
    assert resident() - before > 60 * 2**20
    del tensor
    assert resident() - before < 10 * 2**20


SHAPE = (_LARGE // 4, 2)


def test_memory_is_used_again_when_nobody_holds_it():
    buffers = Buffers()
    first = buffers.empty(SHAPE, torch.float32)
    place = first.data_ptr()
    view = first[5:]
    del first
    second = buffers.empty(SHAPE, torch.float32)
    assert second.data_ptr() != place  # a view of the first is still held
    del view
    third = buffers.empty((SHAPE[0] // 2, 2), torch.float64)
    assert third.data_ptr() == place
    assert third.shape == (SHAPE[0] // 2, 2)


def test_an_array_that_shares_memory_holds_it_too():
    buffers = Buffers()
    array = buffers.empty(SHAPE, torch.float32).numpy()
    array[:] = 7
    buffers.empty(SHAPE, torch.float32).fill_(1)
    assert (array == 7).all()


def test_buffers_that_do_not_fit_are_given_back():
    buffers = Buffers()
    before = private_memory()
    for n in (5, 12, 30, 80, 200):
        buffers.empty((n, 2**20), torch.uint8).fill_(1)
    assert private_memory() - before < 250 * 2**20
    assert len(buffers._held) == 1


def test_buffers_travel_empty():
    buffers = Buffers()
    buffers.empty(SHAPE, torch.float32)
    assert pickle.loads(pickle.dumps(buffers))._held == []
