import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearnish as sn
from sklearnish.estimators._fitting.warn import warn
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
