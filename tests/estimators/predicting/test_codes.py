import numpy as np
import pytest
import torch

import sklearnish as sn
from sklearnish.estimators._predicting.codes import RowLosses, decoded, function_of
from sklearnish.modules import Autoencoder
from sklearnish.training import ModuleFunction

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def net():
    X = np.random.default_rng(0).normal(size=(60, 3))
    return sn.TorchTransformer(max_epochs=1, num_workers=0, random_state=0).fit(X).net_


def test_losses_stand_for_outputs(net):
    X = torch.randn(5, 3)
    expected = ((net.module_(X) - net.module_.standardize(X)) ** 2).mean(1).detach()
    torch.testing.assert_close(RowLosses(net).infer(X), expected)


def test_the_module_is_shared_on_its_own_device(net):
    assert function_of(net, "encode", CPU).module_ is net.module_
    on_meta = function_of(net, "encode", torch.device("meta"))
    assert next(on_meta.module_.parameters()).is_meta
    assert not next(net.module_.parameters()).is_meta


@pytest.mark.parametrize("wanted", ["auto", 7])
def test_rows_are_made_of_codes_some_at_a_time(wanted):
    module = Autoencoder(3, 2, hidden=4).eval()
    codes = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    decode = ModuleFunction(module, "decode", "float32", CPU)
    expected = module.decode(torch.from_numpy(codes)).detach().numpy()
    np.testing.assert_allclose(decoded(decode, codes, wanted), expected, rtol=1e-6, atol=1e-6)
