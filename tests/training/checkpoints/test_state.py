import pytest
import torch
from torch import nn

from sklearnish.training._checkpoints.state import copied, copied_modules


def test_a_copy_of_a_tree_has_its_own_tensors():
    tree = {"a": [torch.ones(2), (1, None)], "b": {"c": torch.zeros(1, requires_grad=True)}}
    copy = copied(tree)
    tree["a"][0].zero_()
    assert copy["a"][0].tolist() == [1, 1]
    assert type(copy["a"][1]) is tuple
    assert not copy["b"]["c"].requires_grad


def test_modules_that_share_weights_go_on_doing_so():
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    other.weight = one.weight
    a, b = copied_modules(one, other)
    assert a.weight is b.weight
    assert a.weight is not one.weight
    assert torch.equal(a.bias, one.bias)


@pytest.mark.parametrize("keep", [lambda t: t, lambda t: [t], lambda t: {"last": t}])
def test_what_a_forward_kept_is_no_hindrance(keep):
    module = nn.Linear(2, 1)
    module.kept = keep(module(torch.ones(1, 2)))
    (copy,) = copied_modules(module)
    assert torch.equal(copy.weight, module.weight)


def test_what_cannot_be_copied_is_named():
    module = nn.Linear(2, 1)
    module.lines = (line for line in "ab")
    with pytest.raises(TypeError, match=r"Linear cannot be copied \(.*generator.*__deepcopy__"):
        copied_modules(module)
