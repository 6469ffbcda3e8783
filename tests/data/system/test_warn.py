import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

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


def test_a_column_that_is_left_out_is_told_at_the_line_that_fits():
    frame = pd.DataFrame({"id": [f"1.{i}.2020" for i in range(60)], "x": np.arange(60.0)})
    clf = sn.TabularClassifier(quality="fast", max_epochs=1, num_threads=1, random_state=0)
    for fit in (sn.preprocessing.TableEncoder().fit, clf.fit):
        with pytest.warns(UserWarning, match="leaves out 'id'") as caught:
            fit(frame, frame["x"] > 30)
        assert caught[0].filename == __file__
