"""Processes of one fit compare what they were asked for."""

import numpy as np
import pytest

import sklearnish as sn
from sklearnish.estimators._fitting.alike import check_alike
from sklearnish.training import ALONE
from tests.estimators.common import classification
from tests.ranks import in_ranks

X, Y = classification(50)


def dataset(X=X, y=Y):
    return sn.as_dataset(X).with_target(y)


def complaints(world):
    """Return what each difference is called; None for none."""
    rank, plain = world.rank, sn.TorchClassifier()
    other, shown = np.where(np.arange(len(X)) == 7 * rank, 1 - Y, Y), dataset()
    weights = [dataset().with_weight(np.arange(50.0) + r) for r in (0, rank)]
    asked = {
        "nothing": (plain, shown, None),
        "random_state": (sn.TorchClassifier(random_state=rank, verbose=rank), shown, None),
        "lr": (sn.TorchClassifier(lr=0.1 + rank, module_params={"hidden": rank}), shown, None),
        "class": ((sn.TorchRegressor if rank else sn.TorchClassifier)(), shown, None),
        "values": (plain, dataset(X + np.float32(rank)), None),
        "labels": (plain, dataset(y=other), None),
        "order": (plain, shown[np.arange(50)[:: -1 if rank else 1]], None),
        "length": (plain, shown[rank:], None),
        "weights": (plain, weights[1], weights[0]),
        "validation": (plain, shown, shown if rank else None),
    }
    found = {}
    for name, args in asked.items():
        found[name] = None
        try:
            check_alike(*args, world)
        except ValueError as error:
            found[name] = str(error).partition(". ")[0]
    return found


@pytest.mark.slow
def test_differences_are_named_in_all_processes():
    first, second, third = in_ranks(3, complaints)
    begin = "Processes 0 and 1 of this fit differ in"
    assert first == second == third
    assert first == {
        "nothing": None,
        "random_state": None,  # that of the first counts
        "lr": f"{begin} the parameter lr, the parameter module_params",
        "class": f"{begin} the class of the estimator, the parameter class_weight",
        "values": f"{begin} the rows",
        "labels": f"{begin} the rows",
        "order": f"{begin} the rows",
        "length": f"{begin} the rows",
        "weights": f"{begin} the rows",
        "validation": f"{begin} the validation rows",
    }


def test_one_process_compares_nothing():
    check_alike(None, None, None, ALONE)
