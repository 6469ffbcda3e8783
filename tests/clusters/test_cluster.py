import pytest

import sklearnish as sn
from sklearnish.estimators import ELSEWHERE


@pytest.mark.parametrize(
    ("kind", "n_workers", "text"),
    [
        ("dask", 2, r'joblib.parallel_config\("dask"\)'),
        ("slurm", 2, "torchrun"),
        ("ray", 0, "n_workers must be a whole number of at least 1"),
        ("ray", 1.5, "n_workers must be a whole number of at least 1"),
    ],
)
def test_what_is_no_cluster_is_refused(kind, n_workers, text):
    with pytest.raises(ValueError, match=text), sn.cluster(kind, n_workers=n_workers):
        raise AssertionError("not reached")
    assert ELSEWHERE.get() is None
