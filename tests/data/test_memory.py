import pytest
import torch

from sklearnish.data._memory import _LARGE, empty


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
