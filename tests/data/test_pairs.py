from itertools import product

import numpy as np
import pytest
import torch

from sklearnish.data._pairs import check_rows_alone

X = np.arange(6.0).reshape(2, 3)


def objects(items):
    out = np.empty((len(items), 2), dtype=object)
    for i, (x, y) in enumerate(items):
        out[i, 0], out[i, 1] = x, y
    return out


ITEMS = {
    "tensor and number": (torch.ones(3), 1),
    "tensors of one shape": (torch.ones(1), torch.ones(1)),
    "tensors of no shape": (torch.tensor(1.0), torch.tensor(1)),
    "a list of tensors": [torch.ones(1), torch.ones(1)],
    "one tensor": (torch.ones(3),),
    "three tensors": (torch.ones(3), torch.tensor(1), torch.tensor(1.0)),
    "array and number": (np.ones(3), 1),
    "arrays of one shape": (np.ones(3), np.ones(3)),
    "array and text": [np.ones(3), "cat"],
    "list and number": ([1.0, 2.0], 1),
    "dict and number": ({"a": np.ones(3)}, 1),
}


PAIRS = [name for name in ITEMS if len(ITEMS[name]) == 2]


@pytest.mark.parametrize(
    ("form", "name"),
    [*product([list, tuple], ITEMS), *product([objects], PAIRS)],
)
def test_items_of_a_torch_dataset_are_no_rows(name, form):
    items = [ITEMS[name]] * 3
    with pytest.raises(ValueError, match=r"with their labels.*sn.as_dataset\(dataset\)"):
        check_rows_alone(form(items))


def test_pairs_of_pictures_are_no_rows():
    image = pytest.importorskip("PIL.Image").new("RGB", (2, 2))
    with pytest.raises(ValueError, match=r"list of \(Image, int\)"):
        check_rows_alone([(image, 0)] * 3)


@pytest.mark.parametrize("form", [tuple, list])
@pytest.mark.parametrize("y", [np.arange(2), torch.arange(2), X[:, :1]])
def test_a_pair_of_arrays_is_no_rows(form, y):
    with pytest.raises(ValueError, match=r"a pair of arrays, of shapes \(2, 3\)"):
        check_rows_alone(form([X, y]))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [[1.0, 2.0], [3.0, 4.0]],
        [(1.0, 2), (3.0, 4)],
        [(np.float64(1), np.int64(2))] * 2,
        [(1.0, "cat"), (2.0, "dog")],
        [[[1, 2], [3, 4]]] * 2,
        [[X, X], [X, X]],
        [X, X],
        (X, X),
        list(X),
        [torch.ones(2)] * 3,
        list(zip(torch.ones(3), torch.ones(3), torch.ones(3), strict=True)),
        np.array([[1, "a"]], dtype=object),
        np.array([[{}]]),
        [{"a": 1}],
        X,
        torch.ones(2, 2),
    ],
)
def test_rows_of_their_own_are_left_alone(rows):
    check_rows_alone(rows)
