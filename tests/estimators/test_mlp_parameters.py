import inspect

import pytest
from sklearn import neural_network

import sklearnish as sn


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_names_order_and_defaults_are_those_of_scikit_learn(name):
    theirs = inspect.signature(getattr(neural_network, name)).parameters
    ours = inspect.signature(getattr(sn, name)).parameters
    assert {n: ours[n].default for n in theirs} == {n: one.default for n, one in theirs.items()}
    positional = [n for n, one in theirs.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert positional == [n for n, one in ours.items() if one.kind is one.POSITIONAL_OR_KEYWORD]


def test_what_they_add_is_about_rows_and_how_a_fit_runs():
    theirs = inspect.signature(neural_network.MLPClassifier).parameters
    assert set(inspect.signature(sn.MLPClassifier).parameters) - set(theirs) == {
        *("augment", "callbacks", "checkpoint_dir", "device", "isolate", "max_restarts"),
        *("n_processes", "num_threads", "sync_batch_norm"),
        *("num_workers", "on_bad_rows", "pin_memory", "predict_batch_size", "shuffle_memory"),
        "worker_timeout",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": 0.1}, "Write learning_rate_init=... instead"),
        ({"max_epochs": 3}, "Write max_iter=... instead"),
        ({"patience": 3}, "Write n_iter_no_change=... instead"),
    ],
)
def test_our_other_names_lead_to_scikit_learns(given, message):
    with pytest.raises(TypeError, match=message):
        sn.MLPClassifier(**given)


@pytest.mark.parametrize(
    "bad",
    [
        *({"activation": "gelu"}, {"solver": "rmsprop"}, {"alpha": -1}, {"beta_1": 1.0}),
        *({"hidden_layer_sizes": (5, 0)}, {"hidden_layer_sizes": (2.5,)}, {"max_iter": 0}),
        {"n_iter_no_change": 1.5},
    ],
)
def test_bad_values_are_refused_before_anything_is_trained(bad):
    mlp = sn.MLPClassifier(**bad)
    with pytest.raises(ValueError, match=next(iter(bad))):
        mlp.fit([[0.0], [1.0]], [0, 1])
    assert not hasattr(mlp, "coefs_")
