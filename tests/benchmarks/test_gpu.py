import pytest
import torch

from tests.benchmarks._gpu import NO_GPU, busy_seconds, finished, not_measured
from tests.benchmarks._page import Bar, Result


def test_spans_that_overlap_count_once():
    assert busy_seconds([]) == 0
    assert busy_seconds([(5, 6), (0, 2), (1, 3), (1.5, 2)]) == 4
    assert busy_seconds([(0, 10), (2, 3), (9, 12)]) == 12


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_promised():
    result = not_measured("work", "full")
    assert result is not None
    assert NO_GPU in result.notes[0]
    assert not_measured("work", "quick") is None
    run_on_the_cpu = finished(Result("work", bars=[Bar("rows", 1, "1", at_least=0)]))
    assert run_on_the_cpu.bars == []
    assert NO_GPU in run_on_the_cpu.notes[0]
