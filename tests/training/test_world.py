import os
import time

import pytest
import torch
from torch import nn

from sklearnish.data import Failure
from sklearnish.training import ALONE, LostRankError
from tests.ranks import in_ranks


def everything(world):
    """Call every method, for the others must do the same."""
    module = nn.BatchNorm1d(2)
    module.running_mean += world.rank
    module.num_batches_tracked += world.rank
    constants = torch.tensor([torch.finfo().min, 0.1, 0.7, -torch.inf])
    module.register_buffer("constants", constants.clone())
    world.average(module)
    first = torch.full((2,), float(world.rank))
    world.follow([first])
    rows = torch.full((world.rank, 3), float(world.rank))  # the first has none
    world.part_generators(torch.device("cpu"))
    return {
        "total": world.total([1.0, world.rank]),
        "of all": world.numbers_of_all([world.rank, 5]),
        "rows": world.rows_of_all(rows if world.rank else torch.zeros(0)).tolist(),
        "same": world.same(7.5 + world.rank),
        "bytes": world.same_bytes(b"abc" if world.is_first else b""),
        "no bytes": world.same_bytes(b""),
        "mean": module.running_mean.tolist(),
        "count": int(module.num_batches_tracked),
        "constants": torch.equal(module.constants, constants),
        "first": first.tolist(),
        "drawn": float(torch.rand(1)),
        "share": (world.share.rank, world.share.size),
    }


@pytest.mark.slow
def test_what_processes_tell_each_other():
    found = in_ranks(3, everything)
    drawn = {result.pop("drawn") for result in found}
    assert len(drawn) == 3
    assert [result.pop("share") for result in found] == [(0, 3), (1, 3), (2, 3)]
    for result in found:
        assert result == {
            "total": [3.0, 3.0],
            "of all": [[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]],
            "rows": [[1.0] * 3, [2.0] * 3, [2.0] * 3],
            "same": 7.5,
            "bytes": b"abc",
            "no bytes": b"",
            "mean": [1.0, 1.0],
            "count": 0,
            "constants": True,
            "first": [0.0, 0.0],
        }


def test_alone_everything_stays():
    module, rows = nn.BatchNorm1d(2), torch.ones(2, 3)
    before = torch.get_rng_state()
    ALONE.average(module)
    ALONE.follow([rows])
    ALONE.part_generators(torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)
    assert ALONE.total([2, 3]) == [2, 3]
    assert ALONE.rows_of_all(rows) is rows
    assert ALONE.same(3.0) == 3.0
    assert ALONE.same_bytes(b"x") == b"x"
    assert ALONE.share.is_whole


def dies(world):
    world.total([1.0])
    if world.rank:
        os._exit(3)
    return world.total([1.0])


def sleeps(world):
    world.total([1.0])
    if world.rank:
        time.sleep(60)
    return world.total([1.0])


@pytest.mark.slow
def test_a_process_that_ended_is_said_by_the_others():
    first, second = in_ranks(2, dies)
    assert isinstance(first, Failure)
    assert isinstance(first.error(""), LostRankError)
    assert "has ended" in first.text
    assert isinstance(second, LostRankError)
    assert "3" in str(second)


@pytest.mark.slow
def test_one_that_does_not_answer_is_not_waited_for_long():
    begun = time.monotonic()
    first, second = in_ranks(2, sleeps, timeout=3.0)
    assert time.monotonic() - begun < 40
    assert isinstance(first.error(""), LostRankError)
    assert "did not answer" in str(second)
