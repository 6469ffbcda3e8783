from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sklearnish.data._sources.torch_datasets.items import (
    Collector,
    differing,
    kept_labels,
    split,
    stack_labels,
)


@pytest.mark.parametrize(
    ("item", "wanted"), [((1, 2), (1, 2)), ([1, 2], (1, 2)), ((1,), (1, None)), (1, (1, None))]
)
def test_items_are_pairs_or_rows_alone(item, wanted):
    assert split(item) == wanted


@pytest.mark.parametrize("item", [(), (1, 2, 3)])
def test_other_tuples_are_refused(item):
    with pytest.raises(TypeError, match=rf"\(x, y\) or x, got {len(item)} values"):
        split(item)


def collected(items, **wanted):
    collector = Collector(list(range(len(items))), **{"with_x": True, "with_y": True, **wanted})
    for item in items:
        collector.add(item)
    return collector.result()


def test_only_what_is_wanted_is_stacked():
    items = [(torch.full((2,), float(i)), i) for i in range(3)]
    X, y = collected(items)
    assert X.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert y.tolist() == [0, 1, 2]
    assert collected(items, with_y=False)[1] is None
    assert collected([(object(), 4)], with_x=False)[0] is None


def test_an_item_that_lacks_its_label_is_counted():
    with pytest.raises(ValueError, match=r"1 of 2 items have no y"):
        collected([(torch.zeros(1), 0), torch.zeros(1)])


@pytest.mark.parametrize(
    ("ys", "kind"),
    [
        ([1, 2], torch.int64),
        ([0.5, 1], torch.float64),
        ([torch.tensor(1, dtype=torch.int8), torch.tensor(2, dtype=torch.int8)], torch.int8),
        ([np.zeros(3, np.float32), torch.zeros(3)], torch.float32),
    ],
)
def test_labels_keep_their_type(ys, kind):
    assert stack_labels(ys, None).dtype == kind


def test_text_stays_text():
    assert stack_labels(["b", "a"], None).tolist() == ["b", "a"]


def test_labels_of_other_kinds_are_refused():
    with pytest.raises(TypeError, match=r"a number, a text or a tensor, got dict"):
        stack_labels([{}, {}], None)


class Kept(SimpleNamespace):
    """A dataset of three items with some attributes."""

    def __len__(self):
        return 3


@pytest.mark.parametrize("name", ["targets", "labels"])
@pytest.mark.parametrize("form", [list, tuple, np.array, torch.tensor])
def test_labels_in_any_form_are_found(name, form):
    assert kept_labels(Kept(**{name: form([2, 0, 1])})).tolist() == [2, 0, 1]


def test_the_attribute_with_a_value_for_each_item_is_taken():
    assert kept_labels(Kept(targets=["cat", "dog"], labels=[5, 6, 7])).tolist() == [5, 6, 7]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"targets": [0, 1]},
        {"targets": [[0], [1, 2], [3]]},
        {"targets": [{}, {}, {}]},
        {"targets": "abc"},
        {"targets": [0, 1, 2], "target_transform": abs},
    ],
)
def test_what_says_nothing_of_the_items(attributes):
    assert kept_labels(Kept(**attributes)) is None


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        ([0, 1, 2], []),
        ([0, 5, 2], [1]),
        (["0", "1", "2"], [0, 1, 2]),
        ([[0, 1], [1, 2], [2, 3]], [0, 1, 2]),
    ],
)
def test_where_items_say_otherwise(items, wanted):
    assert differing(np.arange(3), np.array(items)).tolist() == wanted


def test_rows_of_labels_differ_by_any_value():
    values = np.array([[0, 1], [2, 3]])
    assert differing(values, np.array([[0, 1], [2, 9]])).tolist() == [1]
