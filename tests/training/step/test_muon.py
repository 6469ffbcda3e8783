import copy
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import sklearnish as sn
from sklearnish.modules import TableModule
from sklearnish.training import Muon
from sklearnish.training._step.muon import orthogonal
from tests.estimators.common import classification, regression

FAST = {"optimizer": "muon", "lr": 0.02, "batch_size": 32, "max_epochs": 4, "random_state": 0}


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (1, 6), (6, 1)])
def test_a_matrix_becomes_nearly_orthogonal(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    mixed = u.T @ orthogonal(matrix) @ v.T  # the same directions, other lengths
    lengths = mixed.diagonal()
    torch.testing.assert_close(mixed, torch.diag(lengths))
    assert lengths[s > 0.05 * s.norm()].min() > 0.6
    assert lengths.max() < 1.3


def test_no_gradient_is_no_step():
    assert torch.equal(orthogonal(torch.zeros(3, 2)), torch.zeros(3, 2))


def test_a_matrix_takes_the_steps_of_torch():
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    ours, theirs = nn.Parameter(weight.clone()), nn.Parameter(weight.clone())
    options = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.9}
    optimizers = Muon([ours], **options), torch.optim.Muon([theirs], **options)
    for seed in range(5):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            generator = torch.Generator().manual_seed(seed)
            parameter.grad = torch.randn(weight.shape, generator=generator)
            optimizer.step()
    torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=0)  # torch rounds to bfloat16
    assert (ours - weight).abs().max() > 0.05


def test_other_weights_take_the_steps_of_adamw():
    ours, theirs = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizers = (
        Muon([ours], lr=0.04),
        torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, 0.99), weight_decay=0),
    )
    for step in range(4):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = torch.tensor([1.0, -1.0, step])
            optimizer.step()
    assert torch.equal(ours, theirs)


def test_groups_keep_their_options():
    a, b, c = (nn.Parameter(torch.ones(shape)) for shape in [(2, 2), (2,), (1, 2, 2)])
    groups = Muon([{"params": [a, b], "lr": 0.5}, {"params": [c]}], lr=0.1).param_groups
    assert [(g["lr"], g["muon"], len(g["params"])) for g in groups] == [
        (0.5, True, 1),
        (0.5, False, 1),
        (0.025, False, 1),
    ]
    with pytest.raises(ValueError, match="momentum=2 must be at least 0 and below 1"):
        Muon([a], momentum=2)


def test_the_loss_is_computed_again_if_asked_for():
    weight = nn.Parameter(torch.eye(2))

    def loss():
        weight.grad = torch.ones(2, 2)
        return 7.0

    assert Muon([weight]).step(loss) == 7.0


def test_what_it_has_learned_is_copied_with_it():
    weight = nn.Parameter(torch.eye(3))
    optimizer = Muon([weight])
    weight.grad = torch.randn(3, 3)
    optimizer.step()
    twin_weight = nn.Parameter(weight.detach().clone())
    twin = Muon([twin_weight])
    twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for parameter, one in ((weight, optimizer), (twin_weight, twin)):
        parameter.grad = torch.ones(3, 3)
        one.step()
    assert torch.equal(weight, twin_weight)


def _table(**params):
    return sn.TorchClassifier(
        TableModule,
        module_params={"task": "classes", "width": 8, "n_members": 2},
        **FAST | params,
    )


@pytest.mark.parametrize(
    "params",
    [
        {"lr_schedule": "warmup-stable-decay"},
        {"lr_schedule": "onecycle"},
        {"clip_grad_norm": 0.1},
        {"accumulate_steps": 3},
        {"precision": "float64"},
        {"precision": "bf16"},
        {"precision": "fp16"},
        {"class_weight": "balanced"},
        {"early_stopping": True},
    ],
)
def test_it_works_with_what_else_can_be_chosen(params):
    X, y = classification()
    clf = _table(**params).fit(X, y)
    assert np.isfinite(clf.predict_proba(X)).all()
    assert clf.history_[-1]["train_loss"] < clf.history_[0]["train_loss"]


def test_saved_and_copied_models_learn_on_alike(tmp_path):
    X, y = classification()
    clf = _table().fit(X, y)
    sn.save(clf, tmp_path / "model.sn")
    loaded = sn.load(tmp_path / "model.sn")
    twin = copy.deepcopy(clf)
    proba = [one.partial_fit(X, y).predict_proba(X) for one in (clf, loaded, twin)]
    np.testing.assert_array_equal(proba[0], proba[1])
    np.testing.assert_array_equal(proba[0], proba[2])


@pytest.mark.parametrize("params", [{}, {"lr_schedule": "warmup-stable-decay"}])
def test_a_module_of_the_users_takes_it(params):
    X, y = regression()
    reg = sn.TorchRegressor(**FAST | params).fit(X, y)
    assert reg.score(X, y) > 0.8


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch compiles with a C++ compiler")
def test_a_compiled_step_of_members_is_the_same():
    X, y = classification()
    compiled, eager = (_table(compile=compile).fit(X, y) for compile in (True, False))
    assert compiled.net_.compiled_.state_dict()["compiled"]
    torch.testing.assert_close(compiled.module_.state_dict(), eager.module_.state_dict())
