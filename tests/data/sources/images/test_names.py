import pytest

from sklearnish.data._sources.images.names import (
    OTHER,
    LeftOut,
    class_of,
    find_classes,
    splits_among,
    takes,
)


@pytest.mark.parametrize(
    ("pictured", "empty", "expected"),
    [
        ({"cat", "dog"}, set(), ("", ["cat", "dog"])),
        ({"cat/a", "dog"}, {"bird", "dog/none"}, ("", ["bird", "cat", "dog"])),
        ({"x/cat", "x/dog/big"}, {"x"}, ("x", ["cat", "dog"])),
        ({"x", "x/cat", "x/dog"}, set(), ("x", ["cat", "dog"])),  # one lies beside the classes
        ({"x", "x/cat"}, set(), ("", ["x"])),
        ({"", "x/cat", "x/dog"}, set(), ("x", ["cat", "dog"])),
        ({"x/y/z"}, set(), ("x/y", ["z"])),
        ({""}, set(), ("", [])),
        ({"a" * 40 + "/b"}, set(), ("a" * 40, ["b"])),
    ],
)
def test_classes_are_the_first_level_of_several_folders(pictured, empty, expected):
    assert find_classes(pictured, empty) == expected


def test_very_deep_folders_are_not_walked_for_ever():
    root, classes = find_classes({"a/" * 10_000 + "b"}, set())
    assert (root, classes) == ("/".join("a" * 32), ["a"])


@pytest.mark.parametrize(
    "names",
    ["train test", "TRAIN Val", "training-set test_set", "train2017 val2017", "training holdout"],
)
def test_names_of_splits(names):
    first, second = names.split()
    assert splits_among("", [first, second], {first, f"{second}/cat"}) == [second, first]
    assert splits_among("x", [first, second], {f"x/{first}/a", f"x/{second}"}) == [first, second]
    assert set(splits_among("", [first, second], {first, second})) == {first, second}
    assert splits_among("", [first, second, "plane"], {first, second, "plane"}) == []  # classes
    assert splits_among("", [second, first], {f"{first}/a", f"{second}/a"})[0] == first
    assert splits_among("", [first, "plane"], {f"{first}/cat"}) == []


def test_the_class_is_the_folder_below_the_root():
    paths = ["cat/1.png", "cat/a/b/1.png", "1.png"]
    assert [class_of(path, "") for path in paths] == ["cat", "cat", ""]
    assert [class_of(f"x/{path}", "x/") for path in paths] == ["cat", "cat", ""]
    assert class_of("y/cat/1.png", "x/") == ""


def test_what_is_left_out_is_counted_by_reason():
    left = LeftOut()
    assert [takes(n, "pets", left) for n in ("a/B.JPG", "a/.b.jpg", "a/b.txt")] == [1, 0, 0]
    assert [takes(n, "pets", left) for n in ("a/._b.jpg", "Thumbs.db", "a/.DS_Store")] == [0, 0, 0]
    for _ in range(3):
        left.add_folder("hidden", ".git")
        left.add(OTHER, "c.txt")
    with pytest.warns(UserWarning, match="left out 6 files") as caught:
        left.warn("pets")
    assert "2 hidden (a/.b.jpg, .git); 4 of other kinds (a/b.txt, c.txt, c.txt, ...)." in str(
        caught[0].message
    )
    LeftOut().warn("pets")
    with pytest.raises(ValueError, match=r"a/b\.HEIC in pets is not JPEG"):
        takes("a/b.HEIC", "pets", left)
