"""A functools.partial as its parts."""

from functools import partial

import pytest
import torch

from sklearnish.persistence._partials import put_together, take_apart


def test_a_partial_comes_back():
    parts = take_apart(partial(torch.optim.SGD, 1, momentum=0.9))
    again = put_together([parts.function, parts.args, parts.keywords])
    assert again.func is torch.optim.SGD
    assert (again.args, again.keywords) == ((1,), {"momentum": 0.9})


class Own(partial):
    """A user's kind of partial."""


def _named():
    named = partial(int)
    named.__name__ = "named"
    return named


@pytest.mark.parametrize("value", [int, Own(int), _named(), None])
def test_what_is_more_than_its_parts_is_not_taken_apart(value):
    assert take_apart(value) is None


@pytest.mark.parametrize(
    "parts", [[1, (), {}], [int, [], {}], [int, (), []], [int, None, {}], ["int", (), {}]]
)
def test_what_a_stranger_says_is_looked_at(parts):
    with pytest.raises(ValueError, match=r"it has a functools\.partial of a .*wanted a function"):
        put_together(parts)
