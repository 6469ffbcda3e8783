"""What each parameter may be, and that every one is declared once."""

import functools

import numpy as np
import pytest
import torch

from sklearnish import TorchClassifier, TorchRegressor, per_batch
from sklearnish.estimators._parameters import (
    DescentParameters,
    FitParameters,
    LoadingParameters,
    NetworkParameters,
    ValidationParameters,
)
from tests.estimators.common import classification

GROUPS = [
    NetworkParameters,
    DescentParameters,
    LoadingParameters,
    ValidationParameters,
    FitParameters,
]
NAMES = [name for group in GROUPS for name in group._parameters]
REFUSED = {
    "module": ["mlp", 3],
    "module_params": [[], "hidden"],
    "criterion": ["mse", 1.0],
    "criterion_params": [[("weight", 1)]],
    "optimizer": ["adm", None],
    "optimizer_params": ["momentum"],
    "lr": [0, -1.0, "auto", None],
    "lr_factors": [[("head", 10)], 10.0],
    "freeze": [1, True],
    "lr_schedule": ["step", 0.5],
    "max_epochs": [0, 1.5, "all", None],
    "batch_size": [0, 2.5, "all", None],
    "clip_grad_norm": [0.0, "auto"],
    "accumulate_steps": [0, 1.5, "auto"],
    "average_weights": [0, 1, "0.9", True],
    "precision": ["float16", torch.float32, 32],
    "compile": ["auto", 2],
    "device": [None, 0],
    "sampler": [None, 1],
    "shuffle_memory": [0, 1.5, None],
    "num_workers": [-1, 1.5, None],
    "worker_timeout": [0, "auto", None],
    "augment": ["flip", 1],
    "on_bad_rows": ["drop", None],
    "pin_memory": ["yes", None],
    "num_threads": [0, "all"],
    "predict_batch_size": [0, "all", None],
    "early_stopping": ["auto", 2],
    "validation_fraction": [0.0, 1.0, None],
    "monitor": [None, 3],
    "patience": [0, 1.5],
    "tol": [-1e-9, None],
    "isolate": ["auto", 2],
    "n_processes": [0, "all", None],
    "max_restarts": [-1, "auto"],
    "sync_batch_norm": ["auto", 2],
    "checkpoint_dir": [3, True],
    "warm_start": ["auto", 2],
    "callbacks": [len, "print"],
    "random_state": [-1, "seed"],
    "verbose": [-1, "yes"],
}
TAKEN = {
    "module": [None, torch.nn.ReLU, torch.nn.ReLU(), lambda: torch.nn.ReLU()],
    "criterion": [torch.nn.MSELoss, torch.nn.functional.mse_loss],
    "optimizer": ["sgd", torch.optim.SGD, functools.partial(torch.optim.SGD, momentum=0.9)],
    "lr": [1e-300, 1, np.float32(0.1)],
    "lr_schedule": [None, "cosine", torch.optim.lr_scheduler.ExponentialLR],
    "max_epochs": [1, np.int64(3), "auto"],
    "clip_grad_norm": [None, 1],
    "device": ["cpu", torch.device("cpu")],
    "augment": [len, [len], (len, len), per_batch(len)],
    "shuffle_memory": [1, "8KB"],
    "num_workers": [0, "auto"],
    "pin_memory": [True, np.True_, "auto"],
    "validation_fraction": [1e-9, 0.999],
    "tol": [0, 0.0],
    "n_processes": [1, np.int64(2), "auto"],
    "max_restarts": [0],
    "callbacks": [None, [], ()],
    "random_state": [None, 0, np.random.RandomState(0)],
}


def pairs(values):
    return [
        pytest.param(name, value, id=f"{name}-{number}")  # a repr may hold an address
        for name in values
        for number, value in enumerate(values[name])
    ]


def test_every_parameter_is_in_one_group_and_has_values_that_are_refused():
    assert len(set(NAMES)) == len(NAMES)
    assert list(REFUSED) == NAMES


@pytest.mark.parametrize("estimator", [TorchClassifier, TorchRegressor])
def test_estimators_take_the_groups_in_their_order(estimator):
    shared = [name for name in estimator._parameters if name in NAMES]
    assert shared == NAMES
    estimator()._validate_params()  # the defaults are allowed


@pytest.mark.parametrize(("name", "value"), pairs(REFUSED))
def test_a_value_that_is_not_allowed_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of TorchRegressor must be"):
        TorchRegressor(**{name: value})._validate_params()


@pytest.mark.parametrize(("name", "value"), pairs(TAKEN))
def test_values_at_the_limits_are_taken(name, value):
    estimator = TorchClassifier(**{name: value})
    estimator._validate_params()
    assert estimator.get_params(deep=False)[name] is value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0.0),
        ("device", "gpu"),
        ("sampler", "shufle"),
        ("shuffle_memory", "many"),
    ],
)
def test_fit_refuses_what_is_not_allowed_and_names_that_are_none(name, value):
    X, y = classification()
    with pytest.raises(ValueError, match=name):
        TorchClassifier(**{name: value}).fit(X, y)
