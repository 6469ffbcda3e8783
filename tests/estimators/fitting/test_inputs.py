import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    permutation_test_score,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import sklearnish as sn
from sklearnish import TorchClassifier, as_dataset
from tests.estimators.common import classification

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 1)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
PAIRS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)[:, None])
CLF = sn.TorchClassifier(max_epochs=1)


@pytest.mark.parametrize(
    "tool",
    [
        lambda: cross_val_score(CLF, PAIRS, Y, cv=2, error_score="raise"),
        lambda: cross_val_predict(CLF, PAIRS, Y, cv=2),
        lambda: GridSearchCV(CLF, {"lr": [0.1]}, cv=2, error_score="raise").fit(PAIRS, Y),
        lambda: GridSearchCV(CLF, {"lr": [0.1]}, cv=2).fit(PAIRS, Y),
        lambda: learning_curve(CLF, PAIRS, Y, cv=2, error_score="raise"),
        lambda: permutation_test_score(CLF, PAIRS, Y, cv=2, n_permutations=1),
        lambda: CLF.fit(*train_test_split(PAIRS, Y)[::2]),
        lambda: CLF.fit(PAIRS, Y, X_val=list(PAIRS), y_val=Y),
        lambda: CLF.fit(X, Y).predict(list(PAIRS)),
        lambda: CLF.fit(X, Y).score(list(PAIRS), Y),
        lambda: CLF.fit(X, Y).predict_to("x.npy", list(PAIRS)),
        lambda: sn.as_dataset(list(PAIRS), Y),
        lambda: make_pipeline(CLF).fit(list(PAIRS), Y),
        lambda: VotingClassifier([("a", CLF)]).fit(list(PAIRS), Y),
        lambda: StackingClassifier([("a", CLF)], LogisticRegression()).fit(list(PAIRS), Y),
        lambda: CalibratedClassifierCV(CLF, cv=2).fit(list(PAIRS), Y),
        lambda: OneVsRestClassifier(CLF).fit(list(PAIRS), Y),
        lambda: TransformedTargetRegressor(sn.TorchRegressor(), func=np.exp, check_inverse=False,
                                           inverse_func=np.log).fit(list(PAIRS), X[:, 0]),
    ],
)  # fmt: skip
def test_labels_never_become_features(tool):
    with pytest.raises(ValueError, match=r"sn\.as_dataset\(dataset\)"):
        tool()


def test_a_scaler_refuses_a_torch_dataset_too():
    with pytest.raises(ValueError, match="dim 3"):
        make_pipeline(StandardScaler(), CLF).fit(PAIRS, Y)


def test_a_view_of_a_torch_dataset_is_searched():
    ds = sn.as_dataset(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)))
    search = GridSearchCV(CLF, {"lr": [0.1]}, cv=2, error_score="raise").fit(ds, ds.target)
    assert search.predict(ds).shape == (60,)


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 60

    def __getitem__(self, i):
        return float(X[i, 0]), int(Y[i])


ROWS_OF_ONE_NUMBER = {
    "array": lambda path: (X[:, 0], Y),
    "list": lambda path: (X[:, 0].tolist(), Y),
    "tensor": lambda path: (torch.from_numpy(X[:, 0]), Y),
    "npy": lambda path: (sn.scan_npy(path), Y),
    "memmap": lambda path: (np.load(path, mmap_mode="r"), Y),
    "TensorDataset": lambda path: (TensorDataset(torch.from_numpy(X[:, 0]), torch.from_numpy(Y)),),
    "Dataset": lambda path: (Numbers(),),
    "view": lambda path: (sn.as_dataset(torch.from_numpy(X)).map(torch.sum), Y),
}


@pytest.mark.parametrize("kind", list(ROWS_OF_ONE_NUMBER))
def test_rows_of_one_number_name_reshape(kind, tmp_path):
    np.save(tmp_path / "x.npy", X[:, 0])
    rows = ROWS_OF_ONE_NUMBER[kind](tmp_path / "x.npy")
    with pytest.raises(ValueError, match=r"1D array.*reshape\(-1, 1\)") as caught:
        CLF.fit(*rows)
    assert "array=" not in str(caught.value)
    with pytest.raises(ValueError, match=r"reshape\(-1, 1\)"):
        sn.TorchClassifier(max_epochs=1).fit(X, Y).predict(rows[0])
    ds = sn.as_dataset(rows[0]) if kind not in ("npy", "view") else rows[0]
    reshaped = ds.map_batches(lambda X: X.reshape(-1, 1))
    assert CLF.fit(reshaped, Y).predict(reshaped).shape == (60,)


@pytest.mark.parametrize("call", ["fit", "predict", "score"])
def test_a_lazy_frame_names_collect(call):
    frame = pl.DataFrame({"a": X[:, 0]})
    model = sn.TorchClassifier(max_epochs=1).fit(frame, Y)
    given = (frame.lazy(),) if call == "predict" else (frame.lazy(), Y)
    with pytest.raises(TypeError, match=r"LazyFrame holds no rows yet.*frame\.collect\(\)"):
        getattr(model, call)(*given)


def test_a_hugging_face_dataset_is_fitted():
    table = pytest.importorskip("datasets").Dataset.from_dict({"a": X[:, 0], "label": Y})
    rows = table.remove_columns("label")
    model = sn.TorchClassifier(max_epochs=5, lr=0.1, batch_size=20, random_state=0).fit(
        rows, table["label"]
    )
    assert model.feature_names_in_.tolist() == ["a"]
    assert model.score(rows.select(range(30)), table["label"][:30]) > 0.9
    again = sn.TorchClassifier(max_epochs=5, lr=0.1, batch_size=20, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(rows), again.predict_proba(X))


class Two(nn.Module):
    """An embedding of the first input beside the second."""

    def __init__(self, out_features):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.layer = nn.Linear(7, out_features)

    def forward(self, ids, x):
        return self.layer(torch.cat([self.embedding(ids), x], 1))


IDS = RNG.integers(0, 10, 60)
INPUTS = {"ids": IDS, "x": RNG.normal(size=(60, 3))}
LABELS = (IDS > 4).astype(int)


@pytest.mark.parametrize("form", [dict, sn.as_dataset, lambda X: sn.as_dataset(X, LABELS)])
def test_a_dict_of_arrays_feeds_a_module_of_several_inputs(form):
    rows = form(INPUTS)
    model = sn.TorchClassifier(Two, max_epochs=10, lr=0.1, batch_size=20, random_state=0)
    assert model.fit(rows, LABELS, X_val=INPUTS, y_val=LABELS).score(rows, LABELS) > 0.9
    assert model.predict(INPUTS).shape == (60,)


def test_a_dict_of_arrays_is_searched():
    ds = sn.as_dataset(INPUTS, LABELS)
    search = GridSearchCV(
        sn.TorchClassifier(Two, max_epochs=2, random_state=0), {"lr": [0.01]}, cv=2
    )
    search.set_params(error_score="raise").fit(ds, ds.target)
    np.testing.assert_array_equal(search.predict(ds), search.predict(INPUTS))
    np.testing.assert_array_equal(search.predict(ds[::7]), search.predict(ds)[::7])


def test_the_default_module_takes_no_dict():
    with pytest.raises(ValueError, match=r"dicts of ids, x.*forward\(self, ids, x\).*DataFrame"):
        sn.TorchClassifier().fit(INPUTS, LABELS)


@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy, sn.as_dataset])
def test_pictures_with_channels_last_name_permute(form):
    pictures = np.zeros((8, 6, 5, 3), np.float32)
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(RuntimeError, match=r"channels first.*X\.permute\(0, 3, 1, 2\)"):
        sn.TorchClassifier(module, max_epochs=1).fit(form(pictures), [0, 1] * 4)
    ds = sn.as_dataset(pictures).map_batches(lambda X: X.permute(0, 3, 1, 2))
    assert sn.TorchClassifier(module, max_epochs=1).fit(ds, [0, 1] * 4).predict(ds).shape == (8,)


@pytest.mark.parametrize("form", [np.asarray, sn.as_dataset])
def test_pictures_turned_after_fit_are_named(form):
    pictures = np.zeros((8, 3, 6, 5), np.float32)
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.LazyLinear(2))
    clf = sn.TorchClassifier(module, max_epochs=1).fit(pictures, [0, 1] * 4)
    with pytest.raises(ValueError, match=r"X has 6 features.*3 channels.*X\.transpose\(0, 3, 1, 2"):
        clf.predict(form(pictures.transpose(0, 2, 3, 1)))


def test_errors_of_arrays_show_no_value_in_any_part_of_them():
    for X in (np.array([123456.0]), np.array([[123456.0], [np.nan]]), np.array([[123456j]])):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - all of it is looked at
            sn.TorchClassifier(max_epochs=1).fit(X, [0] * len(X))
        shown = "".join(traceback.format_exception(caught.value))
        assert "123456" not in shown
        assert "ValueError" in shown


@pytest.mark.parametrize("X", [{1, 2}, (row for row in [[1.0], [2.0]]), object()])
def test_what_holds_no_rows_is_named(X):
    with pytest.raises(ValueError, match=rf"X is a {type(X).__name__}, .*list of rows"):
        sn.TorchClassifier(max_epochs=1).fit(X, [0, 1])


FRAME = pd.DataFrame({"Unnamed: 0": np.arange(60), "a": X[:, 0], "b": X[:, 0] ** 2})


@pytest.mark.parametrize("index", ["Unnamed: 0", "__index_level_0__"])
@pytest.mark.parametrize("kind", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas])
def test_the_index_of_a_frame_is_no_feature_of_fit_or_later(index, kind):
    frame = kind(FRAME.rename(columns={"Unnamed: 0": index}))
    plain = kind(FRAME[["a", "b"]])
    clf = sn.TorchClassifier(max_epochs=2, random_state=0)
    with pytest.warns(UserWarning, match=f"'{index}' of .* is the index of a DataFrame"):
        clf.fit(frame, Y)
    assert clf.feature_names_in_.tolist() == ["a", "b"]
    assert clf.n_features_in_ == 2
    for rows in (frame, frame[:1]):  # they warn no more
        np.testing.assert_array_equal(clf.predict(rows), clf.predict(plain)[: len(rows)])
    assert clf.score(frame, Y) == clf.score(plain, Y)
    other = sn.TorchClassifier(max_epochs=2, random_state=0).fit(plain, Y, X_val=frame, y_val=Y)
    np.testing.assert_array_equal(clf.predict_proba(plain), other.predict_proba(frame))


def test_a_frame_with_an_index_for_a_model_of_unnamed_columns():
    unnamed = sn.TorchClassifier(max_epochs=1).fit(FRAME.to_numpy(), Y)
    with pytest.warns(UserWarning, match="has feature names, but"):
        assert len(unnamed.predict(FRAME)) == 60


def test_no_rows():
    X, y = classification()
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        TorchClassifier().fit(as_dataset(X, y)[:0])


def test_a_loader_is_refused():
    rows = TensorDataset(torch.zeros(4, 2), torch.arange(4) % 2)
    with pytest.raises(TypeError, match=r"pass its dataset instead, loader\.dataset"):
        TorchClassifier().fit(DataLoader(rows))


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_no_rows(kind):
    X, y = classification()
    clf = TorchClassifier(max_epochs=1).fit(X, y)
    for call in (clf.predict, TorchClassifier().fit, lambda name: clf.predict_to("a.npy", name)):
        with pytest.raises(TypeError, match=r"X is the name of a file, 'd\.csv'.*scan_csv\("):
            call(kind("d.csv"))
    with pytest.raises(TypeError, match=r"got Dataset\. The file to write comes before"):
        clf.predict_to(as_dataset(X), kind("answers.npy"))


def test_numbers_beyond_float32():
    X, y = classification()
    clf = TorchClassifier(max_epochs=1).fit(X, y)
    X = X.astype(np.float64)
    X[7, 2] = 1e300
    with pytest.raises(ValueError, match=r"contains 1e\+300, which is beyond float32"):
        clf.predict_proba(X)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, sp.csr_array, torch.from_numpy])
def test_fit_on_numbers_beyond_float32(kind):
    X, y = classification()
    X = X.astype(np.float64)
    X[7, 2] = 1e300
    message = r"contains 1e\+300, which is beyond float32: .*2.*row 7 .*precision='float64'"
    with pytest.raises(ValueError, match=message):
        TorchClassifier().fit(kind(X), y)
    clf = TorchClassifier(precision="float64", max_epochs=1).fit(kind(X), y)
    assert np.isfinite(clf.predict_proba(kind(X))).all()


@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist, sp.csr_array])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_first_value_that_is_not_finite_is_named(kind, value):
    X, y = classification()
    X[[3, 9], [2, 0]] = value
    with pytest.raises(ValueError, match=r"(?s)^Input X contains.*row 3, column 2"):
        TorchClassifier().fit(kind(X), y)


@pytest.mark.parametrize("kind", [np.asarray, as_dataset, torch.from_numpy])
def test_rows_of_another_number_of_dimensions_are_refused(kind):
    X, y = classification()
    clf = TorchClassifier(max_epochs=1).fit(kind(X), y)
    with pytest.raises(ValueError, match="X has 3 dimensions, but TorchClassifier was fitted on X"):
        clf.predict(kind(X[:, :, None]))
    with pytest.raises(ValueError, match="X has 3 dimensions"):
        clf.score(kind(X[:, :, None].astype(np.float64)), y)
    with pytest.raises(ValueError, match="X has 3 dimensions"):
        TorchClassifier().fit(X, y, X_val=kind(X[:, :, None]), y_val=y)


def test_a_column_that_a_function_leaves_out_is_not_taken_from_the_file(tmp_path):
    frame = pd.DataFrame({"a": np.arange(20.0), "b": np.arange(20.0) % 3, "y": [0, 1] * 10})
    frame.to_parquet(tmp_path / "t.parquet")
    ds = sn.scan_parquet(tmp_path / "t.parquet", target="y")
    clf = sn.TorchClassifier(max_epochs=1).fit(ds.map_frames(lambda df: df / 20))
    with pytest.raises(ValueError, match=r"yet now missing in .*\n- b\n"):
        clf.predict(ds.map_frames(lambda df: df[["a"]] / 20))
    assert len(clf.predict(ds.map_frames(lambda df: df[["b", "a"]] / 20))) == 20


def test_columns_of_text_are_sent_to_the_estimators_that_take_them(tmp_path):
    frame = pd.DataFrame({"town": ["Bonn", "Rome"] * 5, "label": [0, 1] * 5})
    frame.to_parquet(tmp_path / "a.parquet")
    for X in (
        as_dataset(frame[["town"]], frame["label"]),
        sn.scan_parquet(tmp_path, target="label"),
    ):
        with pytest.raises(ValueError, match=r"'town' \(.*TabularClassifier and TabularRegressor"):
            TorchClassifier().fit(X)
