import pytest
import torch
from torch import nn

from sklearnish.modules import TableModule

N, CODES = 20, (4, 200)
LAYOUT = {"indicators": (1,), "categories": [(3, CODES[0]), (0, CODES[1])], "n_members": 3}


def rows(seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(N, 5, generator=generator)
    X[:, 1] = X[:, 1] > 0
    for column, n in LAYOUT["categories"]:
        X[:, column] = torch.randint(0, n, (N,), generator=generator).float()
    return X


def made(task="classes", **params):
    torch.manual_seed(0)
    module = TableModule(5, 3, task=task, width=8, **LAYOUT | params)
    with torch.no_grad():  # all weights, those that begin as ones and zeros too
        for weight in module.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return module


def slowly(module, X):
    """Compute what each member makes of the rows, row by row and layer by layer."""
    outputs = []
    for member in range(len(module.heads)):
        of_member = []
        for x in X:
            z = x[[2, 4]]
            waves = [
                torch.cos(2 * torch.pi * (w * z[i] + b))
                for i in range(2)
                for w, b in zip(module.frequencies[0, i], module.phases[0, i], strict=True)
            ]
            few = nn.functional.one_hot(x[3].long(), CODES[0]).float()
            many = module.vectors[0, x[0].long()]
            h = torch.cat([z, x[[1]], few, many, *(w.reshape(1) for w in waves)])
            for layer in module.layers:
                scaled = (h * layer.scale_in[member, :, 0]) @ layer.weight
                h = (scaled * layer.scale_out[member, 0] + layer.bias[member, 0]).clamp(min=0)
            of_member.append(h @ module.heads[member] + module.bias[member, 0])
        outputs.append(torch.stack(of_member))
    return torch.stack(outputs, 1)


def test_members_are_those_of_a_slow_loop():
    module, X = made().double().eval(), rows().double()
    with torch.no_grad():
        torch.testing.assert_close(module.members(X), slowly(module, X))


def test_gradients_are_those_of_a_slow_loop():
    module, X = made().double().eval(), rows().double()
    weights = list(module.parameters())
    ours = torch.autograd.grad(module.members(X).square().sum(), weights)
    theirs = torch.autograd.grad(slowly(module, X).square().sum(), weights)
    torch.testing.assert_close(ours, theirs)


def test_the_ensemble_is_the_mean_of_its_members():
    X = rows()
    with torch.no_grad():
        module = made("values").eval()
        torch.testing.assert_close(module(X), module.members(X).mean(1))
        module = made("classes").eval()
        torch.testing.assert_close(module(X).exp(), module.members(X).softmax(-1).mean(1))
        module = made("labels").eval()
        torch.testing.assert_close(module(X).sigmoid(), module.members(X).sigmoid().mean(1))


def test_probabilities_close_to_0_keep_their_logarithm():
    module = made("classes").eval()
    module.set_output_bias(torch.tensor([300.0, 0.0, -300.0]))
    outputs = module(rows())
    assert outputs.isfinite().all()
    assert outputs[:, 2].max() < -500


def test_in_training_members_come_apart_and_some_categories_are_unknown():
    module = TableModule(1, 2, task="classes", categories=[(0, 5)], n_members=2)
    X = torch.full((2000, 1), 3.0)
    assert module(X).shape == (2000, 2, 2)
    (ones,) = module._categories(X.long(), torch.float32)[:1]
    assert 5 <= ones[:, 0].sum() <= 50
    assert torch.equal(ones.sum(1), torch.ones(2000))
    (ones,) = module.eval()._categories(X.long(), torch.float32)[:1]
    assert torch.equal(ones[:, 3], torch.ones(2000))


@pytest.mark.parametrize("code", [-1.0, 5.0, 1e9])
def test_a_code_that_is_none_is_unknown(code):
    module = TableModule(2, 2, task="labels", categories=[(0, 5), (1, 500)]).eval()
    X = torch.tensor([[code, 1e12], [0.0, 0.0]])
    assert torch.equal(module(X)[0], module(X)[1])


def test_outputs_begin_at_the_bias():
    module = TableModule(4, 3, task="values")
    module.set_output_bias(torch.tensor([1.0, 2.0, 3.0]))
    assert torch.equal(module.bias[5, 0], torch.tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    "params",
    [
        {"embedding": "none"},
        {"depth": 1},
        {"numbers": (2,)},
        {"n_members": 1},
        {"n_frequencies": 3},
        {"categories": (), "indicators": ()},
        {"numbers": (), "categories": (), "indicators": (0, 1)},
    ],
)
def test_sizes_may_differ(params):
    module = made(**params).eval()
    assert module(rows()).shape == (N, 3)


def test_the_layout_is_no_weight():
    module = TableModule(2, 2, task="values", categories=[(0, 5)])
    assert not any(t.dtype == torch.int64 for t in module.state_dict().values())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"task": "regression"}, "task='regression' is not one of 'values', 'classes', 'labels'"),
        ({"embedding": "fast"}, "embedding='fast' is not one of 'periodic', 'none'"),
        ({"numbers": (5,)}, r"Columns \[5\] are named twice, or are not from 0 to .* = 4"),
        ({"numbers": (1, 2)}, r"Columns \[1\] are named twice"),
    ],
)
def test_what_makes_no_module_is_refused(params, message):
    with pytest.raises(ValueError, match=message):
        made(**params)
