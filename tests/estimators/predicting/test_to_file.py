"""Answers in files: those of the methods, in the order of the view, whole or not at all."""

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GroupKFold
from torch import nn

from sklearnish import (
    TorchClassifier,
    TorchRegressor,
    as_dataset,
    scan_csv,
    scan_images,
    scan_npy,
    scan_parquet,
)
from sklearnish.data import PipelineReport
from sklearnish.estimators._predicting import to_file
from tests.estimators.common import classification, regression

N = 300
FEATURES = [f"x{i}" for i in range(10)]
ORDERS = {
    "as stored": np.arange(N),
    "reversed": np.arange(N)[::-1],
    "shuffled": np.random.default_rng(0).permutation(N),
    "a part": np.arange(20, 200, 3),
    "with repeats": np.random.default_rng(0).integers(0, N, 400),
}


@pytest.fixture(scope="module")
def frame():
    X, y = classification(N)
    frame = pd.DataFrame(X, columns=FEATURES)
    frame["label"] = np.array(["a", "bb", "ccc"])[y]
    frame["id"] = [f"customer {i}" for i in range(N)]
    frame["when"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(N), "h")
    frame["maybe"] = pd.array([None if i % 7 == 0 else i for i in range(N)], dtype="Int32")
    return frame


@pytest.fixture(scope="module")
def clf(frame):
    # Small batches and fetches, so that the rows come in many.
    clf = TorchClassifier(
        max_epochs=1, random_state=0, predict_batch_size=16, shuffle_memory="16KB"
    )
    return clf.fit(frame[FEATURES], frame["label"])


@pytest.fixture
def ds(frame, tmp_path):
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=40)
    return scan_parquet(tmp_path / "rows.parquet", target="label")


@pytest.fixture(params=[2**25, 2000], ids=["one window", "many windows"])
def _windows(request, monkeypatch):
    monkeypatch.setattr(to_file, "_WINDOW", request.param)


@pytest.mark.usefixtures("_windows")
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_both_formats_in_the_order_of_the_view(clf, ds, tmp_path, method, order):
    view = ds[ORDERS[order]]
    expected = getattr(clf, method)(view)
    clf.predict_to(tmp_path / "answers.npy", view, method=method)
    np.testing.assert_array_equal(np.load(tmp_path / "answers.npy"), expected)
    clf.predict_to(tmp_path / "answers.parquet", view, method=method, columns=["id", "row"])
    written = pd.read_parquet(tmp_path / "answers.parquet")
    np.testing.assert_array_equal(written["row"], view.rows)
    np.testing.assert_array_equal(written["id"], [f"customer {i}" for i in view.rows])
    answers = written.drop(columns=["id", "row"]).to_numpy()
    np.testing.assert_array_equal(answers.reshape(expected.shape), expected)


@pytest.mark.usefixtures("_windows")
def test_carried_columns_keep_their_types(clf, ds, tmp_path, frame):
    columns = ["when", "id", "maybe", "x3", "label"]
    clf.predict_to(tmp_path / "out.parquet", ds, columns=columns)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == [*columns, "prediction"]
    stored = pq.read_table(tmp_path / "rows.parquet", columns=columns)
    assert (
        table.select(columns)
        .replace_schema_metadata()
        .equals(stored.select(columns).replace_schema_metadata())
    )


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "csv"])
def test_columns_of_frames_and_csv(clf, frame, tmp_path, kind):
    frame.to_csv(tmp_path / "rows.csv", index=False)
    rows = {
        "pandas": lambda: frame,
        "polars": lambda: pl.from_pandas(frame),
        "arrow": lambda: pa.Table.from_pandas(frame),
        "csv": lambda: scan_csv(tmp_path / "rows.csv"),
    }[kind]()
    clf.predict_to(tmp_path / "out.parquet", rows, columns=["id", "maybe", "when"])
    written = pd.read_parquet(tmp_path / "out.parquet")
    assert written["id"].tolist() == frame["id"].tolist()
    assert written["maybe"].isna().sum() == frame["maybe"].isna().sum()
    assert (pd.to_datetime(written["when"]) == frame["when"]).all()
    assert written["prediction"].tolist() == clf.predict(frame[FEATURES]).tolist()


def test_names_of_columns(clf, ds, tmp_path):
    def names(estimator, X, method="predict"):
        estimator.predict_to(tmp_path / "out.parquet", X, method=method)
        return pq.read_schema(tmp_path / "out.parquet").names

    assert names(clf, ds) == ["prediction"]
    classes = ("a", "bb", "ccc")
    assert names(clf, ds, "predict_proba") == [f"probability_{c}" for c in classes]
    assert names(clf, ds, "decision_function") == [f"decision_{c}" for c in classes]
    X, y = classification(60, classes=2)
    binary = TorchClassifier(max_epochs=1, random_state=0).fit(X, y)
    assert names(binary, X, "predict_proba") == ["probability_0", "probability_1"]
    assert names(binary, X, "decision_function") == ["decision"]
    several = TorchClassifier(max_epochs=1, random_state=0).fit(X, np.stack([y, y], 1))
    assert names(several, X) == ["prediction_0", "prediction_1"]
    assert names(several, X, "decision_function") == ["decision_0", "decision_1"]
    X, y = regression(60, targets=2)
    assert names(TorchRegressor(max_epochs=1).fit(X, y), X) == ["prediction_0", "prediction_1"]
    assert names(TorchRegressor(max_epochs=1).fit(X, y[:, 0]), X) == ["prediction"]


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_and_regressors(tmp_path, targets, dtype):
    X, y = regression(N, targets=targets)
    X = X.astype(dtype)
    np.save(tmp_path / "X.npy", X)
    reg = TorchRegressor(max_epochs=1, random_state=0, predict_batch_size=16).fit(X, y)
    for rows in (
        X,
        as_dataset(X),
        scan_npy(tmp_path / "X.npy"),
        scan_npy(tmp_path / "X.npy")[::-1],
    ):
        expected = reg.predict(rows)
        report = reg.predict_to(tmp_path / "out.npy", rows)
        written = np.load(tmp_path / "out.npy")
        assert written.dtype == expected.dtype
        np.testing.assert_array_equal(written, expected)
        assert isinstance(report, PipelineReport)
        assert sum(epoch.rows for epoch in report.epochs) == N


def test_text_of_python_strings_has_a_fixed_width(tmp_path):
    X, y = classification(60)
    labels = np.array(["a", "bb", "longer"], dtype=object)[y]
    clf = TorchClassifier(max_epochs=5, random_state=0).fit(X, labels)
    clf.predict_to(tmp_path / "out.npy", X)
    written = np.load(tmp_path / "out.npy")
    assert written.dtype == "<U6"
    assert written.tolist() == clf.predict(X).tolist()


def test_a_column_named_row_is_carried(clf, frame, tmp_path):
    clf.predict_to(tmp_path / "out.parquet", frame.assign(row=7), columns="row")
    assert set(pd.read_parquet(tmp_path / "out.parquet")["row"]) == {7}


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("out", {}, r'must end with "\.parquet" or "\.npy", got .*out'),
        ("out.csv", {}, "must end with"),
        ("out.npy", {"columns": ["id"]}, "holds only predictions"),
        ("out.parquet", {"columns": ["nope"]}, r"rows.parquet has no column 'nope'.* 'id'"),
        ("out.parquet", {"columns": ["id", "id"]}, "two columns named 'id'"),
        ("out.parquet", {"method": "transform"}, "method='transform' is not one of 'predict', "),
        ("rows.parquet", {}, "which are being read"),
    ],
)
def test_errors_come_before_any_work(clf, ds, tmp_path, path, options, message):
    calls = []
    handle = clf.module_.register_forward_hook(lambda *args: calls.append(args))
    before = sorted(tmp_path.iterdir())
    try:
        with pytest.raises(ValueError, match=message):
            clf.predict_to(tmp_path / path, ds, **options)
    finally:
        handle.remove()
    assert not calls
    assert sorted(tmp_path.iterdir()) == before
    assert len(pd.read_parquet(tmp_path / "rows.parquet")) == N


@pytest.mark.parametrize("columns", [3, 0, False])
def test_columns_that_are_no_names_are_refused(clf, ds, tmp_path, columns):
    with pytest.raises(TypeError, match=rf'takes a list of names.*\["id"\], not {columns}\.'):
        clf.predict_to(tmp_path / "out.parquet", ds, columns=columns)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    "columns", [["id", "row"], np.array(["id", "row"]), pd.Index(["id", "row"])]
)
def test_any_collection_of_names_is_carried(clf, ds, tmp_path, columns):
    clf.predict_to(tmp_path / "out.parquet", ds, columns=columns)
    assert list(pd.read_parquet(tmp_path / "out.parquet")) == ["id", "row", "prediction"]


def test_inputs_and_folders_are_not_overwritten(tmp_path):
    X, y = regression(60)
    np.save(tmp_path / "X.npy", X)
    reg = TorchRegressor(max_epochs=1, random_state=0).fit(X, y)
    (tmp_path / "link.npy").symlink_to(tmp_path / "X.npy")
    for rows in (scan_npy(tmp_path / "X.npy"), np.load(tmp_path / "X.npy", mmap_mode="r")):
        for name in ("X.npy", "link.npy"):
            with pytest.raises(ValueError, match="which are being read"):
                reg.predict_to(tmp_path / name, rows)
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        reg.predict_to(tmp_path / "folder.npy", X)
    with pytest.raises(ValueError, match="method='predict_proba' is not one of 'predict'"):
        reg.predict_to(tmp_path / "out.npy", X, method="predict_proba")
    with pytest.raises(ValueError, match="0 sample"):
        reg.predict_to(tmp_path / "out.npy", as_dataset(X)[:0])
    with pytest.raises(NotFittedError):
        TorchRegressor().predict_to(tmp_path / "out.npy", X)
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), X)


@pytest.mark.parametrize("name", ["out.npy", "out.parquet"])
@pytest.mark.parametrize("step", [1, -1])
def test_a_failure_leaves_the_old_file(clf, frame, tmp_path, name, step):
    spoilt = frame.copy()
    spoilt.loc[150, "x3"] = np.nan
    spoilt.to_parquet(tmp_path / "rows.parquet", row_group_size=40)
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(ValueError, match=r"column 'x3', row 150 of "):
        clf.predict_to(tmp_path / name, scan_parquet(tmp_path / "rows.parquet")[::step])
    assert (tmp_path / name).read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2


KILLED = """
import os
import signal
import numpy as np
from torch import nn
import sklearnish as sn

class Deadly(nn.Linear):
    rows = 0

    def forward(self, X):
        if not self.training:
            self.rows += len(X)
            if self.rows > 100:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(X)

X = np.random.default_rng(0).random((300, 3), dtype=np.float32)
reg = sn.TorchRegressor(Deadly(3, 1), max_epochs=1, predict_batch_size=16, random_state=0)
reg.fit(X, X[:, 0]).predict_to("out.npy", X)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_kill_leaves_the_old_file(tmp_path):
    (tmp_path / "out.npy").write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, timeout=200)
    assert done.returncode == -9
    assert (tmp_path / "out.npy").read_bytes() == b"old"


def test_a_module_that_fails_on_other_rows_is_explained(tmp_path):
    X, y = regression(60)
    images = np.repeat(X[:, :4].reshape(60, 1, 2, 2), 3, axis=1)
    module = nn.Sequential(nn.Conv2d(3, 2, 2), nn.Flatten(), nn.Linear(2, 1))
    reg = TorchRegressor(module, max_epochs=1, random_state=0).fit(images, y)
    with pytest.raises(ValueError, match=r"rows of shape .* but fit saw 12 values"):
        reg.predict_to(tmp_path / "out.npy", np.repeat(images, 2, axis=2))
    assert list(tmp_path.iterdir()) == []


def test_paths_of_pictures_are_carried_and_group_them(tmp_path):
    for i in range(6):
        (tmp_path / "pets" / ("cat", "dog")[i % 2]).mkdir(parents=True, exist_ok=True)
        path = tmp_path / "pets" / ("cat", "dog")[i % 2] / f"patient{i // 2}.png"
        Image.new("RGB", (2, 2), (40 * i, 0, 0)).save(path)
    ds = scan_images(tmp_path / "pets")
    paths = [f"{pet}/patient{i}.png" for pet in ("cat", "dog") for i in range(3)]
    assert ds.column("path").tolist() == paths
    assert ds[[4, 1]].column("path").tolist() == [paths[4], paths[1]]
    groups = [path.split("/")[1] for path in ds.column("path")]
    for train, test in GroupKFold(3).split(ds, ds.target, groups):
        assert not {groups[i] for i in train} & {groups[i] for i in test}
    clf = TorchClassifier(max_epochs=1, random_state=0).fit(ds)
    clf.predict_to(tmp_path / "out.parquet", ds[::-1], columns=["path", "row"])
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert table["path"].tolist() == paths[::-1]
    assert table["row"].tolist() == [5, 4, 3, 2, 1, 0]
    with pytest.raises(ValueError, match="no column 'X'"):
        clf.predict_to(tmp_path / "out.parquet", ds, columns=["X"])
