"""What stands for partials and distributions: both are made again of parts."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sklearnish as sn
from sklearnish.persistence._stand_ins import (
    Distribution,
    freeze,
    put_together,
    stand_in,
    take_apart,
)


@pytest.mark.parametrize(
    "frozen",
    [
        stats.uniform(0.1, 0.5),
        stats.loguniform(a=1e-4, b=1e-1),
        stats.reciprocal(1, 10),
        stats.norm(),
        stats.truncnorm(-1, 2, loc=np.float32(3), scale=2),
        stats.randint(1, np.int64(100)),
        stats.geom(0.25, loc=3),
    ],
    ids=lambda frozen: frozen.dist.name,
)
def test_distributions_come_back(frozen):
    again = freeze(stand_in(frozen))
    assert type(again.dist) is type(frozen.dist)
    drawn = [one.rvs(size=100, random_state=3) for one in (again, frozen)]
    np.testing.assert_array_equal(*drawn)


class Own(stats.rv_continuous):
    """A user's distribution."""

    def _pdf(self, x):
        return 3 * x**2


def _seeded():
    frozen = stats.uniform()
    frozen.random_state = 0
    return frozen


@pytest.mark.parametrize(
    "value",
    [
        Own(a=0, b=1, name="uniform")(),
        Own(a=0, b=1, name="own")(),
        stats.rv_discrete(values=([1, 2], [0.5, 0.5]))(),
        stats.uniform([0, 1], 2),
        _seeded(),
        stats.uniform,
        stats.multivariate_normal(),
        3,
    ],
)
def test_what_would_not_be_the_same_is_not_described(value):
    assert stand_in(value) is None


@pytest.mark.parametrize(
    ("name", "args", "kwds"),
    [
        ("system", (), {}),
        ("rv_histogram", ((1, 2),), {}),
        ("rv_continuous", (), {}),
        ("ttest_ind", (1, 2), {}),
        ("__builtins__", (), {}),
        ("uniform", ("0", 1), {}),
        ("uniform", (0, [1]), {}),
        ("uniform", [0, 1], {}),
        ("uniform", (), {"loc": "x"}),
        ("uniform", (), ()),
        (None, (), {}),
    ],
)
def test_what_a_stranger_says_is_looked_at(name, args, kwds):
    with pytest.raises(ValueError, match="distribution"):
        freeze(Distribution(name, args, kwds))


def test_objects_of_scipy_are_not_restored_without_trust(tmp_path):
    # They run their own text as code: _parse_arg_template.
    model = make_pipeline(FunctionTransformer(kw_args={"a": _seeded()}), sn.TorchClassifier())
    sn.save(model, tmp_path / "a.sn")
    with pytest.raises(ValueError, match=r"not trusted.*scipy\.stats\._continuous_distns\.uniform"):
        sn.load(tmp_path / "a.sn")


def test_nothing_but_a_name_and_numbers_is_in_the_file(tmp_path):
    import io
    import zipfile

    model = make_pipeline(
        FunctionTransformer(kw_args={"a": stats.norm(1, 2)}), sn.TorchClassifier()
    )
    sn.save(model, tmp_path / "a.sn")
    with zipfile.ZipFile(tmp_path / "a.sn") as archive:
        inner = zipfile.ZipFile(io.BytesIO(archive.read("model.skops")))
    assert "scipy" not in json.dumps(json.loads(inner.read("schema.json")))
    assert sn.load(tmp_path / "a.sn")[0].kw_args["a"].mean() == 1


def test_a_partial_comes_back():
    parts = take_apart(partial(torch.optim.SGD, 1, momentum=0.9))
    again = put_together([parts.function, parts.args, parts.keywords])
    assert again.func is torch.optim.SGD
    assert (again.args, again.keywords) == ((1,), {"momentum": 0.9})


class OwnPartial(partial):
    """A user's kind of partial."""


def _with_a_name():
    named = partial(int)
    named.__name__ = "named"
    return named


@pytest.mark.parametrize("value", [int, OwnPartial(int), _with_a_name(), None])
def test_what_is_more_than_its_parts_is_not_taken_apart(value):
    assert take_apart(value) is None


@pytest.mark.parametrize(
    "parts", [[1, (), {}], [int, [], {}], [int, (), []], [int, None, {}], ["int", (), {}]]
)
def test_the_parts_that_a_stranger_names_are_looked_at(parts):
    with pytest.raises(ValueError, match=r"it has a functools\.partial of a .*wanted a function"):
        put_together(parts)
