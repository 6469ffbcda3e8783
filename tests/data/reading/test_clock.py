from dataclasses import replace

import pytest

from sklearnish.data._reading.clock import Times

TIMES = Times(
    rows=100,
    batches=10,
    seconds=4.0,
    wait=2.0,
    read=1.5,
    transform=1.0,
    transfer=0.5,
    bytes_read=3,
    augment=0.25,
    per_batch=0.5,
)


def test_what_was_done_since_makes_it_whole_again():
    before = Times(rows=40, seconds=1.5, wait=0.5, augment=0.25, bytes_read=1)
    since = TIMES - before
    assert (since.rows, since.batches, since.seconds, since.augment) == (60, 10, 2.5, 0.0)
    whole = replace(before)
    whole += since
    assert whole == TIMES
    assert before.rows == 40


def test_whose_time_it_is():
    assert TIMES.in_readers == pytest.approx(2.0)
    assert TIMES.in_map == pytest.approx(0.25)
    assert TIMES.in_step == pytest.approx(2.5)
    assert TIMES.compute == pytest.approx(1.5)
