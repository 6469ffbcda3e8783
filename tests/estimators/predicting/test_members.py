import pytest
import torch

import sklearnish as sn
from sklearnish.estimators._predicting.members import Members
from tests.estimators.common import regression


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16"])
def test_outputs_of_members_average_to_those_of_the_net(precision):
    X, y = regression()
    reg = sn.TabularRegressor(precision=precision, n_members=3, max_epochs=1).fit(X, y)
    rows = torch.from_numpy(reg.encoder_.encode(X))
    rows = rows.double() if precision == "float64" else rows
    with torch.no_grad():
        outputs = Members(reg.net_).infer(rows)
        assert outputs.shape == (len(X), 3, 1)
        torch.testing.assert_close(outputs.mean(1), reg.net_.infer(rows), rtol=0.01, atol=0.01)
    assert outputs.dtype == (torch.float64 if precision == "float64" else torch.float32)
