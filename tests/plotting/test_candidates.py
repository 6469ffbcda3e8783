import numpy as np
import pytest

from sklearnish.plotting._candidates import Candidates


def results(scores, **params):
    n = len(scores)
    table = {
        "mean_test_score": np.array(scores, dtype=float),
        "std_test_score": np.full(n, 0.1),
        "mean_fit_time": np.arange(n) + 1.0,
        "std_fit_time": np.full(n, 0.5),
    }
    for name, values in params.items():
        given = np.array([value is not ... for value in values])
        table[f"param_{name}"] = np.ma.MaskedArray(np.array(values, dtype=object), ~given)
    return table


def test_numbers_are_in_order_and_others_as_they_came():
    found = Candidates.of(results([1, 2, 3], a=[64, 8, 16], b=["x", None, "x"]), None, "score")
    assert found.params == ("a", "b")
    assert found.values == ([8, 16, 64], ["x", None])
    assert found.table[[0, 1, "mean"]].to_numpy().tolist() == [[0, 1, 2], [1, 0, 3], [2, 0, 1]]
    assert found.best == 1


def test_of_equal_scores_the_first_candidate_is_the_best_as_in_the_search():
    found = Candidates.of(results([0.5, 0.9, 0.9], a=[1, 3, 2]), None, "score")
    assert found.table[0].tolist() == [0, 1, 2]
    assert found.best == 2


def test_of_other_parameters_the_best_counts():
    grid = results([0.1, 0.5, 0.4, np.nan], a=[1, 1, 2, 2], b=[1, 2, 1, 2])
    found = Candidates.of(grid, "a", "score")
    assert found.table[[0, "mean", "time"]].to_numpy().tolist() == [[0, 0.5, 2], [1, 0.4, 3]]


def test_candidates_without_a_parameter_are_left_out():
    found = Candidates.of(results([1, 2, 3], a=[1, ..., 2], b=[1, 1, 1]), "a", "score")
    assert found.table["mean"].tolist() == [1, 3]


GRIDS = results([1, 2, 4, 3], lr=[1, 2, ..., ...], n=[..., ..., 8, 16])


def test_parameters_of_different_grids_are_drawn_one_by_one():
    with pytest.raises(ValueError, match=r"has both lr and n.*params=: \['lr', 'n'\]"):
        Candidates.of(GRIDS, None, "score")
    found = Candidates.of(GRIDS, "n", "score")
    assert found.values == ([8, 16],)
    assert found.table["mean"].tolist() == [4, 3]


def test_each_iteration_of_a_halving_has_its_candidates():
    table = results([0.9, 0.1, 0.5], a=[1, 2, 1])
    table |= {"iter": np.array([0, 0, 1]), "n_resources": np.array([10, 10, 30])}
    found = Candidates.of(table, "a", "score")
    assert found.table["resources"].tolist() == [10, 10, 30]
    assert found.best == 2


def test_values_that_cannot_be_hashed():
    found = Candidates.of(results([1, 2], module_params=[{"a": 1}, {"a": 2}]), None, "score")
    assert found.values == ([{"a": 1}, {"a": 2}],)


def test_one_value_is_a_picture_of_one_point():
    assert Candidates.of(results([1], a=[3]), None, "score").params == ("a",)


@pytest.mark.parametrize(
    ("params", "metric", "message"),
    [
        (None, "score", r"varied 3 parameters.*\['a', 'b', 'c'\]"),
        ("z", "score", r"no parameter 'z'; it has \['a', 'b', 'c'\]"),
        (["a", "b", "c"], "score", "one or two names"),
        (["a", "a"], "score", "one or two names"),
        ([], "score", "one or two names"),
        ("a", "auc", r"no metric='auc'; choose one of \['score'\]"),
    ],
)
def test_what_cannot_be_drawn(params, metric, message):
    with pytest.raises(ValueError, match=message):
        Candidates.of(results([1, 2], a=[1, 2], b=[1, 2], c=[1, 2]), params, metric)


def test_where_all_fits_failed():
    with pytest.raises(ValueError, match="NaN for every candidate that has a and b"):
        Candidates.of(results([np.nan, np.nan], a=[1, 2], b=[1, 2]), None, "score")


def test_where_all_fits_with_a_parameter_failed():
    with pytest.raises(ValueError, match="NaN for every candidate that has a"):
        Candidates.of(results([np.nan, 0.5], a=[1, ...], b=[1, 1]), "a", "score")
