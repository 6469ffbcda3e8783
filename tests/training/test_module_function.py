import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import sklearnish as sn
from sklearnish.training import ModuleFunction

CPU = torch.device("cpu")
torch.manual_seed(0)
MODULE = nn.Sequential(nn.Linear(7, 32), nn.Tanh(), nn.Linear(32, 5)).eval()
ROWS = torch.randn(300, 7)


class Two(nn.Module):
    """Has a method beside forward, of codes that are no vectors."""

    def encode(self, X):
        return X.reshape(-1, 2, 3)

    def decode(self, Z):
        return Z.flatten(1) * 2

    def wrong(self, X):
        return X.sum()


def function(**options):
    return ModuleFunction(MODULE, "forward", "float32", CPU, **options)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 299), min_size=1, max_size=140))
def test_what_comes_of_a_row_does_not_depend_on_others(rows):
    whole = function()(ROWS)
    assert torch.equal(function()(ROWS[rows]), whole[rows])
    torch.testing.assert_close(whole, MODULE(ROWS).detach())


def test_codes_of_any_shape_become_a_matrix_and_come_back():
    encode = ModuleFunction(Two(), "encode", "float32", CPU)
    decode = ModuleFunction(Two(), "decode", "float32", CPU, takes=(2, 3), gives=(3, 2))
    X = torch.arange(12.0).reshape(2, 6)
    assert encode(X).shape == (2, 6)
    assert torch.equal(decode(encode(X).double()), 2 * X.reshape(2, 3, 2))
    shaped = ModuleFunction(Two(), "encode", "float32", CPU, gives=None)
    assert shaped(X).shape == (2, 2, 3)


def test_what_is_no_row_per_row_is_refused():
    with pytest.raises(ValueError, match=r"wrong of Two returned a Tensor of shape \(\)"):
        ModuleFunction(Two(), "wrong", "float32", CPU)(ROWS)
    with pytest.raises(ValueError, match="Rows are dicts of a"):
        function().infer({"a": ROWS})


def test_a_module_in_training_mode_is_put_into_eval_mode():
    module = nn.Sequential(nn.Linear(7, 3), nn.Dropout(0.5)).train()
    made = ModuleFunction(module, "forward", "float32", CPU)
    assert torch.equal(made(ROWS), made(ROWS))


def test_over_a_dataset_it_draws_nothing_and_leaves_no_names(tmp_path):
    import pandas as pd

    frame = pd.DataFrame(ROWS.numpy()[:, :5], columns=list("abcde"))
    ds = sn.as_dataset(frame)
    module = nn.Linear(5, 5)
    made = ds.map_batches(ModuleFunction(module, "forward", "float32", CPU))
    assert not made.transforms[0].uses_global_generators
    assert not hasattr(made, "columns")
    assert list(made.to_pandas().columns) == [0, 1, 2, 3, 4]
    assert len(pickle.dumps(made.transforms)) < 4000
    assert np.asarray(made).shape == (300, 5)


def test_half_precision_gives_float32():
    made = ModuleFunction(MODULE, "forward", "bf16", CPU)(ROWS)
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, MODULE(ROWS).detach(), rtol=0.1, atol=0.05)
