"""scikit-learn's callbacks: what they are told of a fit, and what they may do to it."""

import pickle
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EarlyStopping

import sklearnish as sn
from sklearnish.estimators._fitting.fit_task import CALLBACKS, OF_A_FIT
from tests.estimators.common import TwoLayers, classification, regression

sklearn_callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.8 has none")
ScoringMonitor, ProgressBar = sklearn_callback.ScoringMonitor, sklearn_callback.ProgressBar

X, Y = classification(120, classes=2)


class Recording:
    """Keeps what it is told; may stop or fail at the end of an epoch."""

    def __init__(self, stop_at=None, fail_at=None, draw=False):
        self.told, self.shown = [], []
        self.stop_at, self.fail_at, self.draw = stop_at, fail_at, draw

    def setup(self, estimator, context):
        self.told.append(("setup", context.max_subtasks))

    def on_fit_task_begin(self, estimator, context):
        self.told.append((f"begin {context.task_name}", context.task_id))

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.told.append((f"end {context.task_name}", context.task_id))
        self.shown.append((X, y, metadata, fitted_estimator))
        if self.draw:
            np.random.random(3)  # noqa: NPY002
        if context.task_name == "epoch" and context.task_id == self.fail_at:
            raise RuntimeError("no more")
        return context.task_name == "epoch" and context.task_id == self.stop_at

    def teardown(self, estimator, context):
        self.told.append(("teardown", context.max_subtasks))


class Nested(Recording):
    """Is handed on by searches and pipelines, and keeps the way to each task."""

    max_propagation_depth = None

    def on_fit_task_end(self, estimator, context):
        way = [context]
        while way[0].parent is not None:
            way.insert(0, way[0].parent)
        self.told.append(tuple((one.estimator_name, one.task_name) for one in way))


def make(**params):
    params = {"max_epochs": 3, "batch_size": 32, "random_state": 0, "num_workers": 0, **params}
    return sn.TorchClassifier(**params)


def weights_of(estimator):
    return np.concatenate([w.detach().numpy().ravel() for w in estimator.module_.parameters()])


def test_a_fit_is_a_task_and_each_epoch_a_task_within():
    told = Recording()
    make().set_callbacks(told).fit(X, Y)
    epochs = [(f"{what} epoch", k) for k in range(3) for what in ("begin", "end")]
    begin, end = [("setup", 3), ("begin fit", 0)], [("end fit", 0), ("teardown", 3)]
    assert told.told == [*begin, *epochs, *end]


def test_each_fit_is_told_anew():
    told = Recording()
    clf = make(warm_start=True).set_callbacks(told).fit(X, Y).fit(X, Y)
    assert told.told[:10] == told.told[10:]
    assert clf.n_iter_ == 6
    clf.set_callbacks().fit(X, Y)
    assert len(told.told) == 20


def test_partial_fit_is_a_fit_of_one_epoch():
    told = Recording()
    clf = make().set_callbacks(told).partial_fit(X, Y).partial_fit(X, Y)
    names = ["setup", "begin fit", "begin epoch", "end epoch", "end fit", "teardown"]
    assert [name for name, _ in told.told] == 2 * names
    assert clf.n_iter_ == 2


def test_a_callback_is_shown_what_fit_was_given():
    told, weight = Recording(), np.linspace(0.5, 1.5, len(X))
    make().set_callbacks(told).fit(X, Y, sample_weight=weight)
    for shown_X, shown_y, metadata, _ in told.shown:
        assert shown_X is X
        assert shown_y is Y
        assert metadata["sample_weight"] is weight


def test_where_there_are_no_labels_none_are_shown():
    told = Recording()
    sn.TorchTransformer(max_epochs=1, random_state=0).set_callbacks(told).fit(X)
    assert [(one is X, y) for one, y, *_ in told.shown] == 2 * [(True, None)]


def test_the_score_of_an_epoch_is_of_its_weights():
    monitor = ScoringMonitor(scoring="neg_log_loss")
    params = {"module": TwoLayers, "module__dropout": 0.5}
    make().set_params(**params).set_callbacks(monitor).fit(X, Y)
    log = monitor.get_logs().data_as_pandas
    found = log[log.task_name == "epoch"].neg_log_loss.to_list()
    ends = [make(max_epochs=n).set_params(**params).fit(X, Y) for n in (1, 2, 3)]
    assert found == [get_scorer("neg_log_loss")(one, X, Y) for one in ends]
    assert log[log.task_name == "fit"].neg_log_loss.to_list() == found[-1:]


def test_each_fitted_estimator_stays_as_it_was():
    told = Recording()
    make().set_callbacks(told).fit(X, Y)
    fitted = [one for *_, one in told.shown]
    for n, one in enumerate(fitted[:3], 1):
        np.testing.assert_array_equal(weights_of(one), weights_of(make(max_epochs=n).fit(X, Y)))
        assert one.n_iter_ == n
        assert not one.module_.training
    one = fitted[0].partial_fit(X, Y)
    np.testing.assert_array_equal(weights_of(one), weights_of(fitted[1]))


@pytest.mark.parametrize("stored", ["array", "parquet"])
def test_looking_on_changes_nothing(tmp_path, stored):
    rows, y = X, Y
    if stored == "parquet":
        frame = pd.DataFrame(X, columns=list("abcdefghij")).assign(label=Y)
        frame.to_parquet(tmp_path / "rows.parquet", row_group_size=16)
        rows, y = sn.scan_parquet(tmp_path / "rows.parquet", target="label"), None
    clf = make(module=TwoLayers, module_params={"dropout": 0.5}, early_stopping=True)
    told = Recording(draw=True)
    monitor = ScoringMonitor(scoring="accuracy")
    watched = clone(clf).set_callbacks(told, monitor).fit(rows, y)
    np.testing.assert_array_equal(weights_of(watched), weights_of(clf.fit(rows, y)))
    assert [y.tolist() for _, y, *_ in told.shown] == [Y.tolist()] * 4
    assert monitor.get_logs().data_as_pandas.accuracy.iloc[0] > 0.5


def test_a_fitted_estimator_is_calibrated_as_the_end_would():
    told = Recording()
    clf = sn.TabularClassifier(max_epochs=2, random_state=0, early_stopping=True)
    clf.set_callbacks(told).fit(X, Y)
    *_, last = told.shown
    np.testing.assert_array_equal(last[3].predict_proba(X), clf.predict_proba(X))
    assert told.shown[0][3].predict_proba(X).shape == (len(X), 2)


def test_a_regressor_is_shown_in_its_units():
    A, b = regression(100)
    monitor = ScoringMonitor(scoring="r2")
    reg = sn.TorchRegressor(max_epochs=20, lr=0.01, random_state=0).set_callbacks(monitor).fit(A, b)
    assert monitor.get_logs().data_as_pandas.r2[0] == reg.score(A, b)


def test_a_callback_that_returns_true_stops_the_fit():
    told = Recording(stop_at=1)
    clf = make(max_epochs=5).set_callbacks(told).fit(X, Y)
    assert clf.n_iter_ == 2
    assert told.told[-3:] == [("end epoch", 1), ("end fit", 0), ("teardown", 5)]
    np.testing.assert_array_equal(weights_of(clf), weights_of(make(max_epochs=2).fit(X, Y)))


def test_a_callback_that_fails_leaves_the_estimator_as_it_was():
    clf = make().fit(X, Y)
    before, told = clf.net_, Recording(fail_at=1)
    with pytest.raises(RuntimeError, match="no more"):
        clf.set_callbacks(told).fit(X, Y)
    assert clf.net_ is before
    assert told.told[-1] == ("teardown", 3)
    assert not OF_A_FIT & set(vars(clf))


def test_rows_that_cannot_be_used_are_refused_before_callbacks_are_set_up():
    told = Recording()
    with pytest.raises(ValueError, match="NaN"):
        make().set_callbacks(told).fit(np.full_like(X, np.nan), Y)
    assert told.told == []


# Searches


def search(clf, **options):
    model = make_pipeline(StandardScaler(), clf)
    return GridSearchCV(model, {"torchclassifier__lr": [0.1, 0.01]}, cv=2, **options)


def test_tasks_nest_from_a_search_to_the_epochs():
    told = Nested()
    search(make(max_epochs=2)).set_callbacks(told).fit(X, Y)
    net = ("TorchClassifier", "fit"), ("TorchClassifier", "epoch")
    top = ("GridSearchCV", "fit")
    candidate = (top, ("GridSearchCV", "search"), ("Pipeline", "fit"), *net)
    refit = (top, ("Pipeline", "fit"), *net)
    assert told.told.count(candidate) == 2 * 2 * 2
    assert told.told.count(refit) == 2


def test_a_progress_bar_shows_epochs_of_a_search(capsys):
    pytest.importorskip("rich")
    bar = ProgressBar(max_propagation_depth=None)
    found = search(make(max_epochs=2)).set_callbacks(bar).fit(X, Y)
    shown = capsys.readouterr().out
    assert "GridSearchCV - fit" in shown
    assert shown.count("fit-final-estimator") >= 5
    assert not hasattr(found.best_estimator_[-1], CALLBACKS)


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_scores_of_epochs_come_from_all_fits_of_a_search(n_jobs, capsys):
    pytest.importorskip("rich")
    monitor = ScoringMonitor(scoring="accuracy")
    found = search(make(max_epochs=2).set_callbacks(monitor), n_jobs=n_jobs)
    found.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, Y)
    log = monitor.get_logs().data_as_pandas
    assert (log.task_name == "epoch").sum() == (4 + 1) * 2
    assert log.accuracy.notna().all()
    assert "TorchClassifier - fit" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("params", [{"isolate": True}, {"n_processes": 2}])
def test_a_child_process_tells_of_its_epochs(params, capsys):
    pytest.importorskip("rich")
    monitor, bar = ScoringMonitor(scoring="accuracy"), ProgressBar()
    clf = make(**params).set_callbacks(monitor, bar).fit(X, Y)
    assert monitor.get_logs().data_as_pandas.task_name.to_list() == ["fit"] + 3 * ["epoch"]
    assert vars(clf)[CALLBACKS] == [monitor, bar]
    assert "TorchClassifier - fit" in capsys.readouterr().out


# Checkpoints


class Interrupting(Recording):
    def on_fit_task_begin(self, estimator, context):
        if context.task_id == 2:
            raise KeyboardInterrupt


@pytest.fixture
def often(monkeypatch):
    """Save at the end of each epoch, however short it is."""
    monkeypatch.setattr("sklearnish.training._checkpoints.checkpoints.SHARE", 1e9)


def test_a_resumed_fit_counts_the_epochs_before(tmp_path, often):
    clf = make(checkpoint_dir=tmp_path)
    with suppress(KeyboardInterrupt):
        clone(clf).set_callbacks(Interrupting()).fit(X, Y)
    told = Recording()
    resumed = clone(clf).set_callbacks(told).fit(X, Y)
    assert [k for name, k in told.told if name == "end epoch"] == [0, 1, 2]
    assert [fitted is not None for *_, fitted in told.shown] == [False, False, True, True]
    np.testing.assert_array_equal(weights_of(resumed), weights_of(make().fit(X, Y)))
    again = Recording()
    clone(clf).set_callbacks(again).fit(X, Y)  # it is complete, and loaded
    assert again.told == told.told
    assert [fitted is not None for *_, fitted in again.shown] == [False] * 3 + [True]


def test_a_stopped_fit_is_not_taken_for_a_complete_one(tmp_path, often):
    clf = make(checkpoint_dir=tmp_path)
    for _ in range(2):
        stopped = clone(clf).set_callbacks(Recording(stop_at=1)).fit(X, Y)
        assert stopped.n_iter_ == 2
    whole = clone(clf).fit(X, Y)
    np.testing.assert_array_equal(weights_of(whole), weights_of(make().fit(X, Y)))


# What stays


def test_a_clone_has_the_same_callbacks():
    monitor = ScoringMonitor(scoring="accuracy")
    clf = make().set_callbacks(monitor)
    assert vars(clone(clf))[CALLBACKS] == [monitor]
    assert vars(clone(clf.fit(X, Y)))[CALLBACKS] == [monitor]


def test_a_pickle_of_a_fitted_estimator_has_none():
    clf = make().set_callbacks(ScoringMonitor(scoring="accuracy"))
    assert CALLBACKS in vars(pickle.loads(pickle.dumps(clf)))  # it may be fitted over there
    whole = pickle.dumps(clf.fit(X, Y))
    assert b"ScoringMonitor" not in whole
    loaded = pickle.loads(whole)
    assert not {CALLBACKS, *OF_A_FIT} & set(vars(loaded))
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))


@pytest.mark.parametrize("around", [False, True])
def test_a_saved_file_has_none(tmp_path, around):
    model = make().set_callbacks(ScoringMonitor(scoring="accuracy"))
    if around:
        model = search(model).set_callbacks(Nested())
    callbacks = vars(model)[CALLBACKS]
    sn.save(model.fit(X, Y), tmp_path / "model.sn")
    content = (tmp_path / "model.sn").read_bytes()
    assert not [word for word in (b"ScoringMonitor", b"Nested", b"_skl_") if word in content]
    loaded = sn.load(tmp_path / "model.sn")
    assert CALLBACKS not in vars(loaded)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert vars(model)[CALLBACKS] == callbacks


def test_callbacks_in_the_wrong_place_are_told_where_to_go():
    with pytest.raises(TypeError, match=r"estimator\.set_callbacks\("):
        make(callbacks=[ScoringMonitor(scoring="accuracy")]).fit(X, Y)
    with pytest.raises(TypeError, match="FitCallback protocol"):
        make().set_callbacks(EarlyStopping())
