import numpy as np
import pytest
import torch

from sklearnish.modules import MLP


def test_flattens_casts_and_standardises():
    module = MLP(6, 2).double()
    module.set_input_scaling(torch.full((6,), 2.0), torch.full((6,), 4.0))
    images = torch.randint(0, 255, (5, 2, 3), dtype=torch.uint8)
    plain = module.layers((images.double().flatten(1) - 2) / 4)
    torch.testing.assert_close(module(images), plain)


def test_scaling_is_saved_with_the_weights():
    module = MLP(3, 1)
    module.set_input_scaling(torch.ones(3), torch.ones(3))
    twin = MLP(3, 1)
    twin.load_state_dict(module.state_dict())
    assert torch.equal(twin.mean, torch.ones(3))


def test_inputs_far_from_zero_are_centred_before_they_are_rounded():
    X = torch.randn(50, 3, dtype=torch.float64) + torch.tensor([1.7e12, 0, 1e8])
    module, near = MLP(3, 1), MLP(3, 1)
    near.load_state_dict(module.state_dict())
    module.set_input_scaling(X.mean(0), X.std(0), wide=True)
    module.to(torch.float64).to(torch.float32)
    centred = (X - X.mean(0)).float() / X.std(0).float()
    torch.testing.assert_close(module(X), near(centred), rtol=1e-4, atol=1e-4)


def test_weights_of_before_are_taken():
    state = {k: v for k, v in MLP(3, 1).state_dict().items() if k not in ("mean_rest", "wide")}
    MLP(3, 1).load_state_dict(state)


@pytest.mark.parametrize(
    ("sizes", "widths"), [((4, 3), (128, 128)), ((200, 10), (256, 256)), ((5000, 2), (512, 512))]
)
def test_is_sized_to_the_columns(sizes, widths):
    layers = [m.out_features for m in MLP(*sizes).layers if isinstance(m, torch.nn.Linear)]
    assert tuple(layers) == (*widths, sizes[1])


def test_hidden_and_dropout():
    module = MLP(4, 1, hidden=7, dropout=0.5)
    assert module.layers[0].out_features == 7
    assert isinstance(module.layers[2], torch.nn.Dropout)
    assert len(MLP(4, 1, hidden=()).layers) == 1
    assert MLP(4, 1, hidden=np.int64(7)).layers[0].out_features == 7
    assert MLP(4, 1, hidden=np.array([7, 5])).layers[2].out_features == 5


@pytest.mark.parametrize("hidden", [64.0, "64", -3, 0, True, (8, 0), (8, 4.0)])
def test_widths_are_whole_numbers_above_zero(hidden):
    with pytest.raises(ValueError, match=r"hidden=.*integer of at least 1"):
        MLP(4, 1, hidden=hidden)


@pytest.mark.parametrize("dropout", ["0.2", 2, -0.1, 1, None, float("nan")])
def test_dropout_is_a_fraction(dropout):
    with pytest.raises(ValueError, match=r"dropout=.*from 0 to below 1"):
        MLP(4, 1, dropout=dropout)
