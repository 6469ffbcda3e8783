import pytest
import torch
from torch import nn

from sklearnish.modules import Autoencoder


def test_decoder_mirrors_the_encoder():
    module = Autoencoder(10, n_components=3, hidden=(8, 6), dropout=0.2)
    sizes = [
        [(m.in_features, m.out_features) for m in part if isinstance(m, nn.Linear)]
        for part in (module.encoder, module.decoder)
    ]
    assert sizes == [[(10, 8), (8, 6), (6, 3)], [(3, 6), (6, 8), (8, 10)]]
    assert sum(isinstance(m, nn.Dropout) for m in module.modules()) == 4


def test_forward_is_compared_with_standardised_rows_and_decode_gives_their_units():
    X = torch.randn(50, 4) * torch.tensor([1.0, 100.0, 0.01, 1.0]) + 30
    module = Autoencoder(4, 2, hidden=5)
    module.set_input_scaling(X.mean(0), X.std(0))
    codes = module.encode(X)
    assert codes.shape == (50, 2)
    torch.testing.assert_close(module.decode(codes), module.restore(module(X)))


@pytest.mark.parametrize("n_components", [0, 2.0, True, None, "2"])
def test_a_code_has_a_whole_number_of_values(n_components):
    with pytest.raises(ValueError, match=r"n_components=.*integer of at least 1"):
        Autoencoder(4, n_components)
