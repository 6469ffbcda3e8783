import numpy as np
import pandas as pd
import pytest
import torch

import sklearnish as sn
from sklearnish.plotting._first_batch import first_batch

IMAGES = np.arange(40 * 3 * 2 * 2, dtype=np.uint8).reshape(40, 3, 2, 2)
NAMES = np.array(["cat", "dog"] * 20)


def of_images(y=NAMES, **options):
    return first_batch(sn.as_dataset(IMAGES, y), 6, **options)


def test_images_come_with_their_own_labels():
    X, labels = of_images()
    assert X.shape == (6, 3, 2, 2)
    places = [int(np.flatnonzero((x == IMAGES).all((1, 2, 3)))[0]) for x in X]
    assert labels == NAMES[places].tolist()
    assert places != sorted(places)


def test_rows_are_augmented_and_fixed_by_the_seed():
    def noise(x, rng):
        return x + float(rng.normal())

    first, again, other = (of_images(augment=noise, random_state=s)[0] for s in (0, 0, 1))
    assert (first == again).all()
    assert not (first == other).all()


def test_of_a_larger_batch_the_first_rows_are_shown():
    sizes = []

    def note(X):
        sizes.append(len(X))
        return X

    X, _ = of_images(augment=sn.per_batch(note), batch_size=32)
    assert len(X) == 6
    assert sizes == [32]


def test_mixed_labels_are_shares_of_classes():
    def mix(X, y):
        return X, 0.75 * torch.eye(2)[y] + 0.25 * torch.eye(2)[1 - y]

    _, labels = of_images(augment=sn.per_batch(mix))
    assert set(labels) == {"75% cat + 25% dog", "75% dog + 25% cat"}


@pytest.mark.parametrize(
    ("y", "written"),
    [
        (None, None),
        (np.full(40, 7), ["7"] * 6),
        (np.full(40, 0.123456), ["0.1235"] * 6),
        (np.full((40, 2), 1), ["1, 1"] * 6),
    ],
)
def test_labels_of_any_kind(y, written):
    assert of_images(y)[1] == written


def test_encoded_labels_are_seen_by_functions_and_shown_as_they_are():
    seen = []

    def look(X, y):
        seen.append(y)
        return X, y

    _, labels = of_images(np.where(NAMES == "cat", 10, 20), augment=sn.per_batch(look), encode=True)
    assert set(seen[0].tolist()) == {0, 1}
    assert set(labels) == {"10", "20"}


def test_a_table_is_as_it_is_stored(tmp_path):
    frame = pd.DataFrame({"town": ["Bern", None] * 10, "id": np.arange(20) + 2**40, "y": 1})
    frame.to_parquet(tmp_path / "t.parquet")
    rows, labels = first_batch(sn.scan_parquet(tmp_path / "t.parquet", target="y"), 4)
    assert rows.columns.tolist() == ["town", "id"]
    assert set(rows["id"]) <= set(frame["id"])
    assert labels == ["1"] * 4


def test_a_table_that_is_augmented():
    frame = pd.DataFrame({"a": np.ones(9), "b": np.zeros(9)})
    rows, labels = first_batch(sn.as_dataset(frame), 3, augment=lambda x: x + 1)
    assert rows.to_dict("list") == {"a": [2.0] * 3, "b": [1.0] * 3}
    assert labels is None
    text = sn.as_dataset(pd.DataFrame({"town": ["Bern"] * 9}))
    with pytest.raises(ValueError, match="town"):
        first_batch(text, 3, augment=lambda x: x)


def test_what_cannot_be_shown():
    for n_rows in (0, 2.5, "8"):
        with pytest.raises(ValueError, match=f"at least 1, got {n_rows!r}"):
            first_batch(sn.as_dataset(IMAGES), n_rows)
    with pytest.raises(ValueError, match="dicts of tensors"):
        first_batch(sn.as_dataset({"a": np.zeros(9), "b": np.zeros((9, 2))}), 2)
