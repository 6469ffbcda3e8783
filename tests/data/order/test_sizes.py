import pytest

from sklearnish.data._order.sizes import n_batches, next_size


@pytest.mark.parametrize(
    ("left", "size", "wanted"), [(9, 4, 4), (5, 4, 5), (4, 4, 4), (3, 4, 3), (2, 1, 1), (1, 1, 1)]
)
def test_next_size(left, size, wanted):
    assert next_size(left, size) == wanted


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "steps"),
    [(1, 64, 1), (64, 64, 1), (65, 64, 1), (66, 64, 2), (3, 1, 3)],
)
def test_steps_of_an_epoch(n_rows, batch_size, steps):
    assert n_batches(n_rows, batch_size) == steps
