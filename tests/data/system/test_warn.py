from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import sklearnish as sn
from sklearnish.data import warn
from tests.estimators.common import classification

X, y = classification(60)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("steps", [[], [StandardScaler()]])
def test_warnings_of_a_fit_point_to_the_line_that_fits(solver, steps):
    mlp = sn.MLPClassifier((3,), solver=solver, max_iter=1, batch_size=100, random_state=0)
    model = make_pipeline(*steps, mlp)
    with pytest.warns() as caught:
        model.fit(X, y)
    assert len(caught) == (2 if solver == "adam" else 1)
    assert {one.filename for one in caught} == {__file__}


def test_a_call_from_outside_points_to_itself():
    with pytest.warns(UserWarning, match="now") as caught:
        warn("now", UserWarning)
    assert caught[0].filename == __file__


def test_nothing_warns_in_the_name_of_a_line_of_ours():
    files = Path(sn.__file__).parent.rglob("*.py")
    assert [file.name for file in files if "warnings.warn(" in file.read_text()] == ["warn.py"]


def test_what_is_told_under_skorch_and_of_checkpoints_is_told_at_the_line_that_fits(tmp_path):
    settings = {"max_epochs": 1, "num_workers": 0, "random_state": 0}
    module = nn.Sequential(nn.Linear(X.shape[1], 3), nn.Softmax(1))
    with pytest.warns(UserWarning, match="ends in a softmax") as caught:
        sn.TorchClassifier(module, **settings).fit(X, y)
    assert caught[0].filename == __file__
    clf = sn.TorchClassifier(checkpoint_dir=tmp_path, **settings).fit(X, y)
    for path in tmp_path.rglob("*"):
        path.write_bytes(b"damage") if path.is_file() and path.stat().st_size else None
    with pytest.warns(UserWarning, match="is damaged") as caught:
        clf.fit(X, y)
    assert caught[0].filename == __file__


def test_a_column_that_is_left_out_is_told_at_the_line_that_fits():
    frame = pd.DataFrame({"id": [f"1.{i}.2020" for i in range(60)], "x": np.arange(60.0)})
    clf = sn.TabularClassifier(quality="fast", max_epochs=1, num_threads=1, random_state=0)
    for fit in (sn.preprocessing.TableEncoder().fit, clf.fit):
        with pytest.warns(UserWarning, match="leaves out 'id'") as caught:
            fit(frame, frame["x"] > 30)
        assert caught[0].filename == __file__
