"""Parameters that are called otherwise elsewhere."""

import pytest
from sklearn.base import clone

from sklearnish import TorchClassifier, TorchRegressor


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("epochs", "max_epochs="),
        ("learning_rate", "lr="),
        ("bach_size", "batch_size="),
        ("hidden", r"module_params=\{'hidden': ...\}.*set_params\(module__hidden=...\)"),
        ("module__hidden", r"module_params=\{'hidden': ...\}"),
        ("validation_split", "validation_fraction="),
        ("shuffle", "sampler="),
        ("activation", r"module_params=\{'activation': ...\}"),
        ("weight_decay", r"optimizer_params=\{'weight_decay': ...\}"),
    ],
)
def test_an_unknown_keyword_names_the_one_that_is_meant(name, instead):
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{name}'. .*{instead}"):
        TorchClassifier(**{name: 1})
    if "__" not in name:
        with pytest.raises(ValueError, match=rf"Invalid parameter '{name}' .*{instead}"):
            TorchRegressor().set_params(**{name: 1})


class Narrow(TorchClassifier):
    def __init__(self, width=3):
        super().__init__(module_params={"hidden": width})
        self.width = width


class Wide(TorchClassifier):
    def __init__(self, **params):
        super().__init__(**params)


def test_a_subclass_names_its_own():
    assert Narrow(width=4).width == 4
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'widht'\. Write width="):
        Narrow(widht=4)
    with pytest.raises(TypeError, match=r"argument 'epochs'\. Write max_epochs=\.\.\. instead\.$"):
        Wide(epochs=3)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'epochs'\.$"):
        Narrow(epochs=3)
    with pytest.raises(TypeError, match="takes from 1 to 2 positional arguments"):
        Narrow(1, 2)


class Deep(TorchClassifier):
    def __init__(self, depth=1, **params):
        super().__init__(**params)
        self.depth = depth


class Noted:
    def __init__(self, *, note="", **params):
        super().__init__(**params)
        self.note = note


class NotedDeep(Noted, Deep):
    pass


class PassesAll:
    def __init__(self, *args, **params):
        super().__init__(*args, **params)


class Passed(PassesAll, TorchClassifier):
    def __init__(self, *, lr=0.1, **params):
        super().__init__(lr=lr, **params)


def test_what_a_constructor_hands_on_are_parameters_too():
    model = Deep(2, lr=0.5)
    assert repr(clone(model)) == repr(model) == "Deep(depth=2, lr=0.5)"
    assert clone(NotedDeep(depth=3, max_epochs=7, note="a")).get_params() == {
        **Deep(3, max_epochs=7).get_params(),
        "note": "a",
    }
    assert repr(clone(Passed(patience=3))) == "Passed(patience=3)"
    assert model.set_params(patience=3).patience == 3


def test_an_entry_of_a_dict_that_a_clone_would_lose_is_refused():
    with pytest.raises(
        ValueError, match=r"'module__hidden' for estimator Narrow\. Valid parameters are: width\.$"
    ):
        Narrow().set_params(module__hidden=7)
    assert clone(Deep().set_params(module__hidden=7)).module_params == {"hidden": 7}
