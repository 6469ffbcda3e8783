import numpy as np
import pytest

from sklearnish.data._named import by_key, labels_given


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("a", {"X": "a"}),
        (["a", "b"], {"a": "a", "b": "b"}),
        ({"x": "a", "y": "a"}, {"x": "a", "y": "a"}),
    ],
)
def test_names(names, found):
    assert by_key(names) == found


@pytest.mark.parametrize("names", [None, 3, [], {}, ["a", 3], ["a", "a"], {1: "a"}, {"a": 2}, b"a"])
def test_other_names_are_refused(names):
    with pytest.raises(TypeError, match="X takes a name, a list of different names, or a dict"):
        by_key(names)


def test_labels_are_numbers_or_text():
    assert labels_given(None) is None
    assert labels_given(["a", "bc"]).dtype == "U2"
    assert labels_given(np.array(["a", "bc"], "O")).dtype == "U2"
    assert labels_given([[1, 2], [3, 4]]).shape == (2, 2)
    for target in (3, [None, 1], [b"a"]):
        with pytest.raises(TypeError, match="target takes a name, or an array of one number"):
            labels_given(target)
