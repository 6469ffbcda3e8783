"""Our estimators within scikit-learn's, through skops."""

import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.feature_selection import (
    SelectFpr,
    SelectKBest,
    SelectPercentile,
    chi2,
    f_regression,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler
from torch import nn
from torch.optim.lr_scheduler import StepLR

import sklearnish as sn
from sklearnish.persistence import _containers
from sklearnish.persistence._containers import check_attributes, check_no_folder, folders_to_try
from tests.estimators.common import TwoLayers, classification, regression
from tests.persistence.common import FAST, TWO_LAYERS, names, rewritten


def _clf(**params):
    return sn.TorchClassifier(**{**FAST, "max_epochs": 1, **params})


def _frame():
    X, y = names()
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)])
    return frame.assign(kind=np.where(X[:, 0] > 0, "up", "down")), y


def _column_transformer():
    return ColumnTransformer(
        [
            ("text", OneHotEncoder(sparse_output=False), ["kind"]),
            ("numbers", StandardScaler(), make_column_selector(dtype_include="number")),
        ],
        remainder="passthrough",
    )


MODELS = {
    "pipeline": (make_pipeline(StandardScaler(), _clf()), names()),
    "columns": (make_pipeline(_column_transformer(), _clf()), _frame()),
    "streamed": (
        make_pipeline(sn.preprocessing.Streamed(_column_transformer()), _clf()),
        _frame(),
    ),
    "union": (
        make_pipeline(
            FeatureUnion([("a", SimpleImputer()), ("b", FunctionTransformer(np.exp))]), _clf()
        ),
        names(),
    ),
    "grid": (GridSearchCV(_clf(), {"batch_size": [32, 64], "lr": [0.01]}, cv=2), names()),
    "grid of pipelines": (
        GridSearchCV(
            Pipeline([("scale", StandardScaler()), ("clf", _clf())]),
            {"clf": [_clf(), _clf(lr=0.1)], "scale": ["passthrough", StandardScaler()]},
            cv=StratifiedKFold(2),
            scoring=["accuracy", "f1_macro"],
            refit="accuracy",
        ),
        names(),
    ),
    "scorer": (
        GridSearchCV(_clf(), {"lr": [0.01]}, scoring="roc_auc_ovr", cv=2),
        names(),
    ),
    "grid of classes of torch": (
        GridSearchCV(
            _clf(),
            {"optimizer": [torch.optim.SGD, torch.optim.Adam], "criterion": [nn.CrossEntropyLoss]},
            cv=2,
        ),
        names(),
    ),
    "grid of partials": (
        GridSearchCV(
            _clf(),
            {
                "optimizer": [torch.optim.SGD, partial(torch.optim.SGD, momentum=0.9)],
                "lr_schedule": [None, partial(StepLR, step_size=1)],
            },
            cv=2,
        ),
        names(),
    ),
    "partial": (make_pipeline(FunctionTransformer(partial(np.multiply, 2.0)), _clf()), names()),
    "random": (
        RandomizedSearchCV(_clf(), {"lr": [0.1, 0.01]}, n_iter=2, cv=2, random_state=0),
        names(),
    ),
    "random of distributions": (
        RandomizedSearchCV(
            _clf(),
            {"lr": stats.loguniform(1e-3, 1e-1), "batch_size": stats.randint(16, high=64)},
            n_iter=2,
            cv=2,
            random_state=0,
        ),
        names(),
    ),
    "calibrated": (CalibratedClassifierCV(_clf(), cv=2), names()),
    "isotonic": (CalibratedClassifierCV(_clf(), cv=2, method="isotonic"), names()),
    "voting": (
        VotingClassifier(
            [("a", _clf()), ("b", make_pipeline(StandardScaler(), _clf(lr=0.1)))], voting="soft"
        ),
        names(),
    ),
    "stacking": (
        StackingClassifier([("a", _clf())], final_estimator=LogisticRegression(), cv=2),
        names(),
    ),
    "rest": (OneVsRestClassifier(_clf()), names()),
    "threshold": (FixedThresholdClassifier(_clf(), threshold=0.6), classification(classes=2)),
    "tuned threshold": (TunedThresholdClassifierCV(_clf(), cv=2), classification(classes=2)),
    "best": (make_pipeline(SelectKBest(k=4), _clf()), names()),
    "best of chi2": (
        make_pipeline(MinMaxScaler(), SelectPercentile(chi2, percentile=50), _clf()),
        names(),
    ),
    "best by regression": (
        make_pipeline(SelectFpr(f_regression), sn.TorchRegressor(**FAST)),
        regression(),
    ),
    "made scorer": (
        GridSearchCV(
            _clf(),
            {"lr": [0.01]},
            scoring=make_scorer(fbeta_score, beta=2, average="macro"),
            cv=2,
        ),
        names(),
    ),
    "outputs": (
        MultiOutputClassifier(_clf()),
        (names()[0], np.stack([names()[1], names()[1][::-1]], 1)),
    ),
    "target": (
        TransformedTargetRegressor(
            sn.TorchRegressor(**FAST), func=np.log, inverse_func=np.exp, check_inverse=False
        ),
        (regression()[0], np.abs(regression()[1]) + 1),
    ),
    "none of ours": (make_pipeline(StandardScaler(), LogisticRegression()), names()),
}


@pytest.mark.parametrize("name", MODELS)
def test_predicts_as_before(name, tmp_path):
    model, (X, y) = MODELS[name]
    model.fit(X, y)
    sn.save(model, tmp_path / "a.sn")
    loaded = sn.load(tmp_path / "a.sn")
    for method in ("predict", "predict_proba"):
        if hasattr(model, method):
            np.testing.assert_array_equal(getattr(loaded, method)(X), getattr(model, method)(X))
    assert loaded.score(X, y) == model.score(X, y)
    assert _shown(loaded) == _shown(model)


def _shown(model):
    """Show a model without the addresses of its objects that have no repr of their own."""
    return re.sub(r" at 0x[0-9a-fA-F]+>", ">", repr(model))


def test_results_of_a_search_come_back(tmp_path):
    model, (X, y) = MODELS["grid of pipelines"]
    model.fit(X, y)
    sn.save(model, tmp_path / "a.sn")
    loaded = sn.load(tmp_path / "a.sn")
    assert loaded.best_index_ == model.best_index_
    for key, values in model.cv_results_.items():
        if "param" not in key:
            np.testing.assert_array_equal(loaded.cv_results_[key], values)
    assert [type(clf) for clf in loaded.cv_results_["param_clf"]] == [sn.TorchClassifier] * 4
    assert repr(loaded.best_estimator_) == repr(model.best_estimator_)


def test_an_estimator_in_two_places_stays_one(tmp_path):
    model, (X, y) = MODELS["voting"]
    model.fit(X, y)
    sn.save(model, tmp_path / "a.sn")
    loaded = sn.load(tmp_path / "a.sn")
    assert loaded.named_estimators_["a"] is loaded.estimators_[0]


def test_a_search_that_was_not_fitted_can_be(tmp_path):
    search = GridSearchCV(_clf(), {"module": [None, TwoLayers], "module_params": [None]}, cv=2)
    sn.save(search, tmp_path / "a.sn")
    with pytest.raises(ValueError, match=r"pass trusted=\['tests.estimators.common.TwoLayers'\]"):
        sn.load(tmp_path / "a.sn")
    loaded = sn.load(tmp_path / "a.sn", [TWO_LAYERS])
    X, y = names()
    assert loaded.fit(X, y).best_params_ == search.fit(X, y).best_params_


def test_a_search_draws_from_its_distributions_as_before(tmp_path):
    search, (X, y) = MODELS["random of distributions"]
    distribution = search.param_distributions["lr"]
    sn.save(search, tmp_path / "a.sn")
    assert search.param_distributions["lr"] is distribution
    loaded = sn.load(tmp_path / "a.sn").fit(X, y)
    assert loaded.cv_results_["params"] == search.fit(X, y).cv_results_["params"]


def test_the_model_itself_is_left_as_it_was(tmp_path):
    model = make_pipeline(StandardScaler(), _clf()).fit(*names())
    clf = model[-1]
    sn.save(model, tmp_path / "a.sn")
    assert model[-1] is clf


def test_the_results_of_a_search_are_left_as_they_were(tmp_path):
    model, (X, y) = MODELS["grid of pipelines"]
    model.fit(X, y)
    tried = model.cv_results_["param_clf"].tolist()
    sn.save(model, tmp_path / "a.sn")
    assert all(a is b for a, b in zip(model.cv_results_["param_clf"], tried, strict=True))


def test_partials_of_a_search_come_back(tmp_path):
    model, (X, y) = MODELS["grid of partials"]
    model.fit(X, y)
    tried = model.param_grid["optimizer"]
    sn.save(model, tmp_path / "a.sn")
    assert model.param_grid["optimizer"] is tried
    loaded = sn.load(tmp_path / "a.sn")
    for found in (loaded.param_grid["optimizer"][1], loaded.cv_results_["param_optimizer"][-1]):
        assert type(found) is partial
        assert (found.func, found.keywords) == (torch.optim.SGD, {"momentum": 0.9})
    assert loaded.fit(X, y).best_params_.keys() == model.best_params_.keys()


def test_the_function_of_a_partial_needs_trust(tmp_path):
    clip = FunctionTransformer(partial(np.clip, a_min=-1, a_max=1))
    X, y = names()
    model = make_pipeline(clip, _clf()).fit(X, y)
    sn.save(model, tmp_path / "a.sn")
    with pytest.raises(ValueError, match=r"pass trusted=\['numpy\.clip'\]"):
        sn.load(tmp_path / "a.sn")
    loaded = sn.load(tmp_path / "a.sn", ["numpy.clip"])
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_what_partials_tuples_and_sets_hold_comes_back_wherever_it_is(tmp_path):
    bound = partial(np.add, [partial(np.add, 1.0)], out=_clf())
    shared = (bound, _clf())
    step = FunctionTransformer(kw_args={"a": shared, "b": shared, "c": bound, "d": {bound}})
    sn.save(make_pipeline(step, _clf()), tmp_path / "a.sn")
    found = sn.load(tmp_path / "a.sn")[0].kw_args
    assert found["a"] is found["b"]
    assert found["a"][0] is found["c"]
    assert found["d"] == {found["c"]}
    assert type(found["a"][1]) is type(found["c"].keywords["out"]) is sn.TorchClassifier
    assert found["c"].args[0][0].args == (1.0,)


def test_masked_entries_stay_masked(tmp_path):
    grids = [{"lr": [0.01]}, {"lr": [0.1], "module_params": [{"hidden": (8,)}]}]
    model = GridSearchCV(_clf(), grids, cv=2).fit(*names())
    sn.save(model, tmp_path / "a.sn")
    loaded = sn.load(tmp_path / "a.sn").cv_results_["param_module_params"]
    assert loaded.mask.tolist() == [True, False]
    assert loaded[1] == {"hidden": (8,)}


def test_a_part_that_is_not_there_is_refused(tmp_path):
    sn.save(make_pipeline(StandardScaler(), _clf()), tmp_path / "a.sn")
    rewritten(tmp_path / "a.sn", {"model.json": b'{"estimators": []}'})
    with pytest.raises(ValueError, match="IndexError"):
        sn.load(tmp_path / "a.sn")


# No file says where a fit writes, nor takes the place of a method

TRIED = [
    {"checkpoint_dir": ["folder"]},
    {"clf__checkpoint_dir": ["folder", None]},
    {"clf__estimator__checkpoint_dir": (None, "folder")},
    {"memory": ["folder"]},
    {"a__memory": np.array(["folder"])},
    {"a__memory": np.array([None, "folder"], dtype=object)},
    {"a__memory": [["folder"]]},
    {"a__memory": "folder"},
    {np.str_("memory"): [b"folder"]},
]


@pytest.mark.parametrize("grid", TRIED)
def test_a_search_tries_no_folder(grid, tmp_path, monkeypatch):
    """sn.save leaves them out; a file that has them all the same is refused."""
    clf = sn.TorchClassifier(max_epochs=1)
    search = GridSearchCV(make_pipeline(StandardScaler(), clf), [{"verbose": [False]}, grid])
    given = repr(grid)
    sn.save(search, tmp_path / "a.sn")
    assert repr(grid) == given
    [(_, tried)] = sn.load(tmp_path / "a.sn").param_grid[1].items()
    assert not _containers._may_be_a_folder(tried)
    monkeypatch.setattr(_containers, "_emptied", lambda value: value)
    sn.save(search, tmp_path / "a.sn")
    with pytest.raises(ValueError, match="neither saved nor loaded"):
        sn.load(tmp_path / "a.sn")


@pytest.mark.parametrize(
    "model",
    [
        Pipeline([("clf", sn.TorchClassifier())], memory="folder"),
        VotingClassifier([("a", Pipeline([("clf", sn.TorchClassifier())], memory="folder"))]),
        RandomizedSearchCV(
            sn.TorchClassifier(), {"a": [Pipeline([("b", StandardScaler())], memory="folder")]}
        ),
    ],
)
def test_nothing_around_ours_has_a_folder(model, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="folder of pickles"):
        sn.save(model, tmp_path / "a.sn")
    with monkeypatch.context() as patch:
        patch.setattr(_containers, "check_no_folder", lambda value: None)
        sn.save(model, tmp_path / "a.sn")
    with pytest.raises(ValueError, match="folder of pickles"):
        sn.load(tmp_path / "a.sn")


@pytest.mark.parametrize(
    "value", [{"memory": 3}, {"memory": slice(0, 2)}, {"a__memory": [None]}, {"memory": np.ones(2)}]
)
def test_words_of_a_vocabulary_are_no_folders(value):
    check_no_folder(value)
    assert folders_to_try(value) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("predict", 1),
        ("__module__", "payload"),
        ("__deepcopy__", StandardScaler),
        ("__doc_link_template", "<script>"),
        ("_doc_link_module", "other"),
        ("_parameter_constraints", {}),
    ],
)
def test_no_attribute_takes_the_place_of_another(name, value, tmp_path, monkeypatch):
    model = make_pipeline(StandardScaler(), sn.TorchClassifier())
    vars(model)[name] = value
    with pytest.raises(ValueError, match=f"sets '{name}' of a Pipeline"):
        sn.save(model, tmp_path / "a.sn")
    del vars(model)[name]
    check_attributes(model)


def test_folders_stay_in_the_model_that_is_saved(tmp_path):
    X, y = classification(60)
    grid = {"checkpoint_dir": [str(tmp_path / "a"), None]}
    search = GridSearchCV(sn.TorchClassifier(max_epochs=1, random_state=0), grid, cv=2)
    sn.save(search, tmp_path / "a.sn")
    assert search.param_grid is grid
    assert grid["checkpoint_dir"][0]
    sn.load(tmp_path / "a.sn").fit(X, y)
    assert [path.name for path in tmp_path.iterdir()] == ["a.sn"]
