"""Constructors of declared parameters: as signature, text, attributes, and under other names."""

import inspect
import pickle
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
from numpydoc.docscrape import ClassDoc
from sklearn.base import clone

from sklearnish import TorchClassifier, TorchRegressor
from sklearnish.estimators._constructor import parameter, parameterized

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
y = (X[:, 0] > 0).astype(int)


@parameterized
class Perceptron(TorchClassifier):
    """Classifier with the names of scikit-learn.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}
    """

    _called: ClassVar = {
        "lr": "learning_rate_init",
        "max_epochs": "max_iter",
        "patience": "n_iter_no_change",
    }
    _doc_link_module = __name__.split(".")[0]
    _doc_link_template = "https://example.org/{estimator_name}"

    hidden_layer_sizes: int = parameter(
        default=8,
        kind="int",
        allowed=[int],
        kw_only=False,
        doc="Width of the layer.",
    )
    max_iter: int = parameter(
        default=200,
        kind="int",
        allowed=[int],
        doc="Passes over the rows.",
    )
    module = None
    compile = False

    @property
    def module_params(self):
        return {"hidden": self.hidden_layer_sizes}


ESTIMATORS = (TorchClassifier, TorchRegressor, Perceptron)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_help_says_of_every_parameter_what_it_is(estimator):
    names = list(inspect.signature(estimator).parameters)
    told = {entry.name: entry for entry in ClassDoc(estimator)["Parameters"]}
    assert list(told) == names == list(estimator._parameters)
    assert all(told[name].desc and "default=" in told[name].type for name in names)
    assert {"history_", "n_iter_"} <= {entry.name for entry in ClassDoc(estimator)["Attributes"]}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_parameters_are_those_of_the_signature(estimator):
    signature = inspect.signature(estimator).parameters
    assert sorted(signature) == estimator._get_param_names()
    assert estimator().get_params() == {name: one.default for name, one in signature.items()}
    assert estimator.__init__.__qualname__ == f"{estimator.__name__}.__init__"
    assert inspect.signature(estimator.__init__).parameters.keys() - {"self"} == signature.keys()
    assert all(one.annotation is not one.empty for one in signature.values())


def test_own_parameters_stand_where_they_were_put():
    names = list(inspect.signature(TorchClassifier).parameters)
    assert names[:5] == ["module", "module_params", "criterion", "criterion_params", "class_weight"]
    assert TorchRegressor(None).module is None
    with pytest.raises(TypeError, match=r"TorchRegressor\(\): too many positional arguments"):
        TorchRegressor(None, 1)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_copies_keep_what_was_given(estimator):
    given = estimator(batch_size=7, optimizer_params={"eps": 1e-6})
    for copied in (clone(given), pickle.loads(pickle.dumps(given))):
        assert copied.get_params() == given.get_params()


def test_html_shows_parameters_and_what_they_are():
    html = TorchClassifier(lr=0.5)._repr_html_()
    assert all(f">{name}<" in html for name in TorchClassifier._parameters)
    assert "Width of the layer." in Perceptron()._repr_html_()


def test_other_names_take_over_text_default_and_meaning():
    names = inspect.signature(Perceptron).parameters
    assert not names.keys() & {"lr", "max_epochs", "patience", "module", "module_params", "compile"}
    assert (names["learning_rate_init"].default, names["max_iter"].default) == (1e-3, 200)
    assert 'if `max_iter` is "auto"' in inspect.getdoc(Perceptron)
    net = Perceptron(4, learning_rate_init=0.25, max_iter=2, random_state=0).fit(X, y)
    assert (net.n_iter_, net.net_.lr, net.lr) == (2, 0.25, 0.25)
    assert next(p.shape[0] for p in net.module_.parameters()) == 4
    assert clone(net).set_params(learning_rate_init=1.0).lr == 1.0
    with pytest.raises(TypeError, match=r"'lr'\. Write learning_rate_init=\.\.\. instead\.$"):
        Perceptron(lr=1)
    with pytest.raises(ValueError, match="'learning_rate_init' parameter of Perceptron must be"):
        Perceptron(learning_rate_init=-1).fit(X, y)


class Narrow(TorchClassifier):
    def __init__(self, width=3):
        super().__init__(module_params={"hidden": width}, max_epochs=1)
        self.width = width


def test_a_constructor_of_the_users_own_is_left_alone():
    net = clone(Narrow(5)).fit(X, y)
    assert net.get_params() == {"width": 5}
    assert net.module_params == {"hidden": 5}


USE = """
import sklearnish as sn
sn.TorchClassifier(None, batch_size=8, class_weight="balanced")
sn.TorchRegressor(batch_size=[8])
reveal_type(sn.TorchRegressor().lr)
"""


@pytest.mark.slow  # reads the types of torch
def test_type_checkers_know_the_parameters(tmp_path):
    (tmp_path / "use.py").write_text(USE)
    command = [sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", tmp_path / "use.py"]
    told = subprocess.run(command, capture_output=True, text=True).stdout
    assert 'use.py:4: error: Argument "batch_size" to "TorchRegressor" has incompatible' in told
    assert 'use.py:5: note: Revealed type is "float"' in told
    assert "Found 1 error" in told
