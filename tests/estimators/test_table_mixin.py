"""Tables of every kind of column, in memory and in files."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from torch import nn

import sklearnish as sn
from sklearnish.modules import MLP, TableModule
from tests.estimators.common import classification, regression
from tests.estimators.tables import BRIEF, FAST, LABELS, N, X, Y, frame, label, price


@pytest.fixture(scope="module")
def clf():
    return sn.TabularClassifier(**FAST).fit(X, LABELS)


@pytest.fixture(scope="module")
def reg():
    return sn.TabularRegressor(**FAST).fit(X, Y)


def test_mixed_columns_are_learned(clf, reg):
    new = frame(seed=1)
    assert clf.score(new, label(new)) > 0.9
    assert reg.score(new, price(new)) > 0.9
    assert list(clf.feature_names_in_) == list(X)
    assert (clf.n_features_in_, clf.classes_.tolist()) == (4, ["cheap", "dear"])


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas, sn.as_dataset])
def test_frames_of_all_libraries_are_the_same(clf, convert):
    other = sn.TabularClassifier(**FAST).fit(convert(X), LABELS)
    np.testing.assert_array_equal(other.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(clf.predict_proba(convert(X)), clf.predict_proba(X))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    whole = X.assign(y=LABELS)
    whole.to_csv(folder / "t.csv", index=False)
    whole.to_parquet(folder / "t.parquet", row_group_size=64)
    return [
        sn.scan_csv(folder / "t.csv", target="y"),
        sn.scan_parquet(folder / "t.parquet", target="y"),
    ]


@pytest.mark.parametrize("number", [0, 1])
def test_files_give_the_same_bits(clf, files, number):
    other = sn.TabularClassifier(**FAST).fit(files[number])
    expected = clf.module_.state_dict()
    for name, weight in other.module_.state_dict().items():
        assert torch.equal(weight, expected[name]), name
    np.testing.assert_array_equal(other.predict_proba(files[number]), clf.predict_proba(X))
    assert other.score(files[number]) == clf.score(X, LABELS)


def test_rows_beyond_the_memory_for_shuffling_are_encoded_as_they_are_read(files, tmp_path):
    clf = sn.TabularClassifier(shuffle_memory=2048, num_workers=0, **FAST).fit(files[1])
    assert clf.score(files[1]) > 0.9
    in_memory = clf.set_params(shuffle_memory="1MB").predict_proba(files[1])
    streamed = clf.set_params(shuffle_memory=2048).predict_proba(files[1])
    np.testing.assert_allclose(in_memory, streamed, atol=1e-6)
    clf.predict_to(tmp_path / "p.parquet", files[1], method="predict_proba", columns=["town"])
    written = pd.read_parquet(tmp_path / "p.parquet")
    np.testing.assert_allclose(written["probability_dear"], streamed[:, 1], atol=1e-6)
    assert written["town"].fillna("").tolist() == X["town"].fillna("").tolist()


def test_the_encoder_sees_training_rows_alone():
    alone = X.assign(town=["only here", *X["town"][1:]])
    rest = {"X_val": alone[:1], "y_val": LABELS[:1]}
    clf = sn.TabularClassifier(max_epochs=1).fit(alone[1:], LABELS[1:], **rest)
    assert clf.encoder_.columns_["town"].levels == ("Bonn", "Köln", "Rome")
    held_out = sn.TabularClassifier(max_epochs=1, validation_fraction=0.5, random_state=0)
    names = [str(i) for i in range(N)]
    held_out.set_params(kinds={"name": "category"}).fit(X.assign(name=names), LABELS)
    assert len(held_out.encoder_.columns_["name"].levels) == 100


def test_arrays_with_gaps():
    X, y = classification()
    X[::7, 2] = np.nan
    clf = sn.TabularClassifier(**FAST).fit(X, y)
    assert clf.score(X, y) > 0.8
    tensors = sn.TabularClassifier(**FAST).fit(torch.from_numpy(X), y)
    np.testing.assert_array_equal(tensors.predict_proba(X), clf.predict_proba(X))
    objects = sn.TabularClassifier(**FAST).fit(X.astype(object), y)
    np.testing.assert_allclose(objects.predict_proba(X.astype(object)), clf.predict_proba(X))


def test_arrays_and_frames_stand_for_each_other(tmp_path):
    data = X.assign(same=[*"ab"] * (N // 2))[["same", *X]]
    data.to_csv(tmp_path / "t.csv", index=False)
    ds, array = sn.scan_csv(tmp_path / "t.csv"), data.to_numpy()
    params = BRIEF | {"kinds": {"same": "drop"}}
    of_frame = sn.TabularClassifier(**params).fit(data, LABELS)
    of_array = sn.TabularClassifier(**params | {"kinds": {"x0": "drop"}}).fit(array, LABELS)
    expected = of_frame.predict_proba(data)
    np.testing.assert_array_equal(of_array.predict_proba(array), expected)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        np.testing.assert_array_equal(of_frame.predict_proba(array), expected)
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        np.testing.assert_array_equal(of_array.predict_proba(data), expected)
    for params in ({"shuffle_memory": "1MB"}, {"shuffle_memory": 2048, "num_workers": 0}):
        of_file = of_array.set_params(**params).predict_proba(ds)
        np.testing.assert_allclose(of_file, expected, atol=1e-6)
    years = data.set_axis(range(2020, 2025), axis=1)
    of_years = sn.TabularClassifier(**BRIEF | {"kinds": {"2020": "drop"}}).fit(years, LABELS)
    np.testing.assert_array_equal(of_years.predict_proba(array), expected)
    with pytest.raises(ValueError, match="X has 4 features"):
        of_years.predict(array[:, 1:])


def test_lists_of_mixed_rows_keep_their_numbers():
    data = X.dropna()
    clf = sn.TabularClassifier(**BRIEF).fit(data, LABELS[data.index])
    rows = data.to_numpy().tolist()
    listed = sn.TabularClassifier(**BRIEF).fit(rows, LABELS[data.index])
    assert [*listed.encoder_.kinds_.values()] == [*clf.encoder_.kinds_.values()]
    assert listed.encoder_.kinds_["x0"] == "number"
    np.testing.assert_array_equal(listed.predict_proba(rows), clf.predict_proba(data))
    one = listed.predict_proba([tuple(rows[0])])
    np.testing.assert_allclose(one, clf.predict_proba(data[:1]), atol=1e-6)
    with pytest.raises(ValueError, match=r"inhomogeneous|2D array"):
        listed.predict([[1, "a"], [2]])


def test_several_targets_and_labels():
    X, y = regression(targets=2)
    reg = sn.TabularRegressor(**FAST).fit(X, y)
    assert reg.predict(X).shape == y.shape
    assert reg.score(X, y) > 0.7
    labels = (y > y.mean(0)).astype(int)
    clf = sn.TabularClassifier(**FAST).fit(X, labels)
    assert clf.predict_proba(X).shape == labels.shape
    assert clf.score(X, labels) > 0.6


def test_weights_and_partial_fit():
    weight = np.where(LABELS == "dear", 1.0, 0.0)
    weight[:5] = 1.0
    clf = sn.TabularClassifier(early_stopping=False, **FAST)
    clf.fit(X, LABELS, sample_weight=weight)
    assert np.mean(clf.predict(X) == "dear") > 0.8
    balanced = sn.TabularClassifier(class_weight="balanced", **FAST).fit(X, LABELS)
    assert balanced.score(X, LABELS) > 0.85
    online = sn.TabularClassifier(**FAST)
    for _ in range(15):
        online.partial_fit(X, LABELS, classes=["cheap", "dear", "other"])
    assert online.predict_proba(X).shape == (N, 3)
    assert online.score(X, LABELS) > 0.8


def test_it_stops_early_by_default(clf):
    assert "valid_loss" in clf.history_[0]
    assert clf.max_epochs_ == round(200 * clf.batch_size_ / 360)
    assert clf._patience() == round(clf.max_epochs_ / 3)


def test_qualities_and_sizes_make_the_network():
    module = sn.TabularRegressor(quality="fast", max_epochs=1).fit(X, Y).module_
    assert (len(module.heads), len(module.layers)) == (4, 2)
    module = sn.TabularRegressor(quality="fast", depth=1, width=7, max_epochs=1).fit(X, Y).module_
    assert (len(module.layers), module.heads.shape[1]) == (1, 7)
    module = sn.TabularRegressor(embedding="none", max_epochs=1).fit(X, Y).module_
    assert module.frequencies.numel() == 0
    few = sn.TabularRegressor(max_epochs=1).fit(X, Y)
    many = sn.TabularRegressor(max_epochs=1).fit(pd.concat([X] * 6), pd.concat([Y] * 6))
    assert [reg.embedding_ for reg in (few, many)] == ["none", "periodic"]
    assert (few.module_.frequencies.numel(), many.module_.frequencies.numel()) == (0, 32)


def test_it_begins_with_the_shares_of_the_classes():
    y = (np.arange(N) < 40).astype(int)
    clf = sn.TabularClassifier(max_epochs=1, lr=1e-12, early_stopping=False).fit(X, y)
    assert clf.predict_proba(X)[:, 1].mean() == pytest.approx(0.1, abs=0.05)


class Told(TableModule):
    """Takes codes, and has a default of its own."""


def test_other_networks_keep_the_encoder():
    clf = sn.TabularClassifier(MLP, optimizer="adam", lr=0.003, random_state=0).fit(X, LABELS)
    assert clf.score(X, LABELS) > 0.9
    assert clf.n_inputs_ > 12  # one column per level
    told = sn.TabularClassifier(Told, module_params={"task": "classes"}, **FAST).fit(X, LABELS)
    assert told.score(X, LABELS) > 0.9
    built = nn.Sequential(nn.LazyLinear(2))
    assert sn.TabularClassifier(built, max_epochs=20).fit(X, LABELS).score(X, LABELS) > 0.6


@pytest.mark.parametrize("params", [{}, {"module": MLP}])
def test_saved_models_predict_and_learn_on(params, tmp_path):
    clf = sn.TabularClassifier(**FAST | params).fit(X, LABELS)
    sn.save(clf, tmp_path / "model.sn")
    loaded = sn.load(tmp_path / "model.sn")
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    again = [model.partial_fit(X, LABELS).predict_proba(X) for model in (loaded, clf)]
    np.testing.assert_array_equal(*again)


def test_searches_and_copies():
    search = GridSearchCV(sn.TabularClassifier(**FAST), {"width": [4, 16]}, cv=2).fit(X, LABELS)
    assert clone(search.best_estimator_).get_params()["width"] == search.best_params_["width"]
    ds = sn.as_dataset(X, LABELS)
    assert cross_val_score(sn.TabularClassifier(**FAST), ds, ds.target, cv=2).mean() > 0.8


def test_checkpoints(tmp_path):
    params = FAST | {"checkpoint_dir": str(tmp_path)}
    first = sn.TabularClassifier(**params).fit(X, LABELS)
    again = sn.TabularClassifier(**params).fit(X, LABELS)
    assert [e["dur"] for e in again.history_] == [e["dur"] for e in first.history_]
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))


@pytest.mark.slow
def test_a_process_of_its_own(clf):
    other = sn.TabularClassifier(isolate=True, **FAST).fit(X, LABELS)
    np.testing.assert_array_equal(other.predict_proba(X), clf.predict_proba(X))


def test_what_is_no_table_is_refused(clf):
    with pytest.raises(TypeError, match=r"takes tables, and .* has no columns"):
        sn.TabularClassifier().fit(sn.as_dataset(np.zeros((9, 2, 2))), np.arange(9) % 2)
    with pytest.raises(ValueError, match="town"):
        clf.predict(X.drop(columns="town"))
    with pytest.raises(TypeError, match="on_bad_rows"):
        sn.TabularClassifier(on_bad_rows="skip")


def test_it_describes_what_became_of_the_columns():
    data = X.assign(same=1.0)
    with pytest.warns(UserWarning, match="leaves out 'same'"):
        clf = sn.TabularClassifier(max_epochs=1).fit(data, LABELS)
    lines = str(clf.describe()).splitlines()
    assert lines[1].split() == ["size", "number:", "size,", "size:missing"]
    assert "rooms   number: rooms, rooms:code (6 codes)" in lines
    assert lines[0].startswith("same    left out: ")
    assert lines[-1].startswith("TableModule(n_members=8, width=64, depth=3), ")
    assert lines[-1].endswith(" weights; 1 epoch, 32 rows per step")
