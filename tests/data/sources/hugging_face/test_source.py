import pickle

import numpy as np
import pytest

import sklearnish as sn
from sklearnish import DatasetChangedError, as_dataset

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()
PIL = pytest.importorskip("PIL")

N = 120
NAMES = ["cat", "dog", "eel"]
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 4, 6, 3)).astype(np.uint8)


def on_disk(folder, columns, features):
    """Write a Dataset and map it again."""
    features = datasets.Features(features)
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(folder)
    return datasets.load_from_disk(folder)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    columns = {
        "a": np.arange(N),
        "v": np.arange(2.0 * N).reshape(N, 2),
        "m": np.arange(6.0 * N).reshape(N, 2, 3),
        "species": np.arange(N) % 3,
    }
    features = {
        "a": datasets.Value("int64"),
        "v": datasets.List(datasets.Value("float32")),
        "m": datasets.Array2D((2, 3), "float32"),
        "species": datasets.ClassLabel(names=NAMES),
    }
    return on_disk(tmp_path_factory.mktemp("table"), columns, features)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    columns = {"image": list(PIXELS), "label": np.arange(N) % 3}
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
    return on_disk(tmp_path_factory.mktemp("images"), columns, features)


def test_a_table(table):
    shuffled = table.shuffle(0)
    for X in (table, shuffled):
        ds = as_dataset(X)
        assert (ds.columns, ds.shape) == (("a", "v", "m"), (N, 9))
        numbers = np.array(X["a"])
        np.testing.assert_array_equal(ds.target, np.array(NAMES)[numbers % 3])
        rows = np.array([5, 100, 3])
        read = ds.read(rows).X.numpy()
        np.testing.assert_array_equal(read[:, 0], numbers[rows])
        np.testing.assert_array_equal(read[:, 3:], 6 * read[:, :1] + np.arange(6))


def test_labels_given_beside_it_win(table):
    ds = as_dataset(table, table["a"])
    np.testing.assert_array_equal(ds.target, np.arange(N))
    assert ds.columns == ("a", "v", "m")


def test_of_several_classes_none_is_the_target(table):
    two = table.add_column("other", [0, 1] * (N // 2)).cast_column(
        "other", datasets.ClassLabel(names=["x", "y"])
    )
    ds = as_dataset(two)
    assert ds.target is None
    assert ds.to_pandas()["other"].tolist() == ["x", "y"] * (N // 2)


def test_images_and_their_labels(images):
    X = images.shuffle(1)
    ds = as_dataset(X)
    assert (ds.shape, ds.source.blocks) == ((N, 3, 4, 6), None)
    np.testing.assert_array_equal(ds.target, np.array(NAMES)[X["label"]])
    rows = np.array([7, 0])
    expected = [np.asarray(X[int(row)]["image"]).transpose(2, 0, 1) for row in rows]
    np.testing.assert_array_equal(ds.read(rows).X, expected)
    assert as_dataset(X.select_columns("image")).target is None


def test_images_are_decoded_in_workers(images):
    ds = as_dataset(images)
    inline, workers = (list(ds.batches(50, num_workers=n)) for n in (0, 2))
    for (X, y), (X2, y2) in zip(inline, workers, strict=True):
        assert (X == X2).all()
        assert (np.asarray(y) == np.asarray(y2)).all()
    assert len(pickle.dumps(ds)) < 5_000


def test_a_model_is_fitted_on_it(images):
    model = sn.TorchClassifier(max_epochs=1, random_state=0, num_threads=1).fit(as_dataset(images))
    assert model.classes_.tolist() == NAMES
    proba = model.predict_proba(as_dataset(images))
    np.testing.assert_array_equal(proba, model.predict_proba(PIXELS.transpose(0, 3, 1, 2)))


def test_arrays_alone_are_rows_of_their_shape(table):
    ds = as_dataset(table.select_columns(["m", "a"]))
    assert ds.shape == (N, 2, 3)
    np.testing.assert_array_equal(ds.target, np.arange(N))
    np.testing.assert_array_equal(ds.read([3]).X[0], np.arange(18, 24).reshape(2, 3))


def test_formats_choose_columns_and_no_more(table):
    for form in ("torch", "numpy", "pandas", "arrow"):
        ds = as_dataset(table.with_format(form, columns=["a", "v"]))
        assert (ds.columns, ds.shape) == (("a", "v"), (N, 3))
    everything = table.with_format("torch", columns=["a"], output_all_columns=True)
    assert as_dataset(everything).columns == ("a", "v", "m")


def test_lists_of_several_lengths_are_no_features(tmp_path):
    X = on_disk(
        tmp_path,
        {"l": [[1], [2, 3], [4, 5]]},
        {"l": datasets.List(datasets.Value("int64"))},
    )
    assert as_dataset(X).source.schema["l"].shape == ()
    assert as_dataset(X.select([2, 1])).source.schema["l"].shape == (2,)


def test_rows_in_the_order_of_files_are_read_in_blocks(table):
    blocks = as_dataset(table).source.blocks
    assert blocks.tolist() == [0, N]
    finer = as_dataset(table).source.finer(50)
    assert finer.blocks.tolist() == [0, 50, 100, N]
    assert as_dataset(table.shuffle(0)).source.blocks is None
    in_memory = as_dataset(datasets.Dataset.from_dict({"a": [1.0, 2.0]})).source
    assert in_memory.in_memory
    assert in_memory.blocks is None


def test_a_file_that_changed_is_noticed(tmp_path):
    X = on_disk(tmp_path / "x", {"a": [1.0, 2.0]}, {"a": datasets.Value("float32")})
    ds = as_dataset(X)
    ds.source.check_unchanged()
    (file,) = (tmp_path / "x").glob("*.arrow")
    file.touch()
    with pytest.raises(DatasetChangedError, match=r"\.arrow changed since"):
        ds.source.check_unchanged()


def test_rows_are_the_same_as_long_as_they_are(table):
    one, again = (as_dataset(table.shuffle(3)).source.identity() for _ in range(2))
    assert one == again != as_dataset(table.shuffle(4)).source.identity()


def test_missing_labels_are_no_class(tmp_path):
    X = on_disk(
        tmp_path,
        {"a": [1.0, 2.0], "y": [0, -1]},
        {"a": datasets.Value("float32"), "y": datasets.ClassLabel(names=NAMES)},
    )
    with pytest.raises(ValueError, match="the target of row 1 of the Hugging Face Dataset is miss"):
        sn.TorchClassifier(max_epochs=1).fit(as_dataset(X))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X: X.with_transform(dict), TypeError, "by a function .set_transform"),
        (lambda X: X.to_iterable_dataset(), TypeError, r"no row indices.*to_parquet\(path\)"),
        (lambda X: X.train_test_split(0.5), TypeError, r"'train' is a Dataset.*X\['train'\]"),
        (
            lambda X: X.add_column("id", list(range(N))),
            ValueError,
            r"'image' hold .*\['image', \.\.\.",
        ),
        (
            lambda X: X.cast_column("image", datasets.Image(mode="L")),
            ValueError,
            r"of mode 'L'; they are read as RGB",
        ),
        (
            lambda X: X.remove_columns("label").add_column("l", [[1]] * N),
            ValueError,
            r"'image', 'l', of which 'image' hold images",
        ),
        (lambda X: X.select([]), ValueError, "has 0 rows"),
    ],
)
def test_what_cannot_be_read(images, change, error, message):
    with pytest.raises(error, match=message):
        as_dataset(change(images))


def test_images_of_several_sizes(tmp_path):
    X = on_disk(tmp_path, {"image": [PIXELS[0], PIXELS[1, :3]]}, {"image": datasets.Image()})
    message = r"row 1 of the Hugging Face Dataset has 3 x 6 .* row 0 .* 4 x 6. Resize .* X.map"
    with pytest.raises(ValueError, match=message):
        as_dataset(X).read([0, 1])


def test_predictions_are_compared_with_the_numbers_of_classes(images):
    X = as_dataset(images)
    model = sn.TorchClassifier(max_epochs=1, random_state=0, num_threads=1).fit(X)
    numbers = images.features["label"].str2int(list(model.predict(images)))
    assert np.mean(np.array(numbers) == np.array(images["label"])) == model.score(X)


@pytest.mark.parametrize("beside", ["label", "more"])
def test_arrays_that_are_not_of_their_shape_are_named(beside):
    square = datasets.Array2D((2, 2), "int32")
    columns = {"x": [[[5, 6], [7, 8]]] * 3 + [[[1, 2, 3], [4]]], "y": [0, 1, 0, 1]}
    features = {"x": square, "y": datasets.Value("int64")}
    if beside == "more":
        columns, features = columns | {"z": columns["y"]}, features | {"z": features["y"]}
    ds = as_dataset(datasets.Dataset.from_dict(columns, features=datasets.Features(features)))
    with pytest.raises(ValueError, match=r"row 3 of .* has an array in 'x' .* shape \(2, 2\)"):
        np.asarray(ds[::-1])
    assert np.asarray(ds[[2, 0]]).reshape(2, -1)[:, :4].tolist() == [[5, 6, 7, 8]] * 2
