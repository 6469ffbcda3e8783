import copy
import functools
import pickle

import numpy as np
import pytest
import torch

from sklearnish.data._functions.functions import (
    RowFunction,
    per_batch,
    split_augment,
    uses_global_generators,
)


def with_rng(x, rng):
    return x + float(rng.normal())


def mixup(X, y, rng):
    share, order = float(rng.beta(1, 1)), torch.as_tensor(rng.permutation(len(X)))
    return share * X + (1 - share) * X[order], share * y + (1 - share) * y[order]


class Inputs(torch.nn.Module):
    """Spelt as torchvision's v2 transforms are."""

    def forward(self, *inputs):
        return tuple(x + 1 for x in inputs)


def clip(X, low=0.0):
    return X.clamp(min=low)


def relabel(X, y=None):
    return X, None if y is None else y + 1


@pytest.mark.parametrize(
    ("f", "takes"),
    [
        (mixup, True),
        (relabel, True),
        (Inputs(), True),
        (clip, False),
        (with_rng, False),
        (torch.nn.ReLU(), False),
        (lambda *args: args[0], False),
        (functools.partial(clip, low=1.0), False),
    ],
)
def test_who_is_given_y(f, takes):
    assert per_batch(f).takes_y is takes


def test_augment_is_sorted_into_rows_and_batches():
    assert split_augment(None) == ((), ())
    rows, batches = split_augment([per_batch(mixup), with_rng, torch.nn.ReLU()])
    assert [f.name for f in rows] == ["with_rng", "ReLU"]
    assert [f.name for f in batches] == ["mixup"]
    assert split_augment(torch.nn.Sequential(torch.nn.ReLU()))[0][0].name == "Sequential"


@pytest.mark.parametrize("augment", ["flip", [3], [[with_rng]]])
def test_augment_must_be_functions(augment):
    with pytest.raises(TypeError, match="augment must be"):
        split_augment(augment)


def test_global_generators_are_used_unless_rng_is_named():
    named = functools.partial(with_rng)
    bound = functools.partial(with_rng, rng=np.random.default_rng(0))
    assert not uses_global_generators([RowFunction(with_rng), RowFunction(named)])
    assert uses_global_generators([RowFunction(with_rng), RowFunction(bound)])
    assert RowFunction(bound).name == "with_rng"
    assert uses_global_generators([RowFunction(torch.nn.ReLU())])


def test_functions_pickle_with_what_was_read_from_their_signature():
    copy = pickle.loads(pickle.dumps(per_batch(mixup)))
    assert copy == per_batch(mixup)
    assert copy.takes_y
    assert copy.names_rng


@per_batch
def negated(X):
    return -X


class Owner:
    @per_batch
    def halved(X):
        return X / 2


@pytest.mark.parametrize("function", [negated, Owner.halved, per_batch(with_rng)])
def test_functions_of_batches_travel(function):
    back = pickle.loads(pickle.dumps(function))
    assert back == function
    assert back.names_rng == function.names_rng
    assert copy.deepcopy(function) == function
