import numpy as np
import pytest

from sklearnish.data._functions.randomness import seed_of


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
