"""ImageClassifier on arrays, folders and tars: one estimator among scikit-learn's."""

import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

import sklearnish as sn
from sklearnish.modules import ImageCNN, ImageModule

SIZES = {"width": 2, "max_epochs": 2, "batch_size": 16, "random_state": 0, "device": "cpu"}


def images(n=48, height=8, width=8, seed=0):
    """Images whose class is their colour, besides noise."""
    rng = np.random.default_rng(seed)
    X, y = rng.integers(0, 120, (n, 3, height, width), dtype=np.uint8), np.arange(n) % 3
    X[np.arange(n), y] += 130
    return X, np.array(["red", "green", "blue"])[y]


def classifier(**params):
    return sn.ImageClassifier(**{**SIZES, **params})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write the images as files of class folders, without loss."""
    root = tmp_path_factory.mktemp("images")
    for i, (x, label) in enumerate(zip(*images(), strict=True)):
        (root / label).mkdir(exist_ok=True)
        Image.fromarray(x.transpose(1, 2, 0)).save(root / label / f"{i:03}.png")
    return root


@pytest.fixture(scope="module")
def fitted():
    return classifier(width=4, max_epochs=12, batch_size=8).fit(*images())


def test_it_learns(fitted):
    X, y = images(seed=1)
    assert fitted.score(X, y) > 0.9
    assert fitted.classes_.tolist() == ["blue", "green", "red"]
    assert fitted.n_features_in_ == 3
    assert isinstance(fitted.module_.network, ImageCNN)
    np.testing.assert_allclose(fitted.predict_proba(X).sum(1), 1, rtol=1e-5)


def test_arrays_tensors_folders_and_tars_give_the_same_bits(folder, tmp_path):
    ds = sn.scan_images(folder)
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        tar.add(folder, arcname="images")
    X = ds.read(np.arange(len(ds))).X
    one = {"num_threads": 1}  # "auto" leaves a core to what reads files; sums then round otherwise
    expected = classifier(**one).fit(X.numpy(), ds.target).predict_proba(X.numpy())
    for rows in (X, ds, sn.scan_images(tmp_path / "images.tar")):
        clf = classifier(**one).fit(rows, ds.target)
        np.testing.assert_array_equal(clf.predict_proba(rows), expected)


def test_workers_change_no_bit(folder):
    ds = sn.scan_images(folder)
    one, two = (
        classifier(num_workers=n, augment=_brighter, num_threads=1).fit(ds).predict_proba(ds)
        for n in (0, 2)
    )
    np.testing.assert_array_equal(one, two)


def _brighter(x, rng):
    return (x.float() * rng.uniform(0.9, 1.1)).clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("params", [{"flip": "random"}, {"flip": "none", "crop": 0}, {"crop": 1}])
def test_augmentation_is_reproducible_and_counts(params):
    X, y = images()
    default, one, two = (classifier(**p).fit(X, y).predict_proba(X) for p in ({}, params, params))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(default, one)


def test_the_last_word_on_batches_is_the_users():
    X, y = images()
    seen = []

    @sn.per_batch
    def look(X):
        seen.append((X.dtype, tuple(X.shape[1:])))
        return X

    classifier(augment=look).fit(X, y)
    assert set(seen) == {(torch.uint8, (3, 8, 8))}


def test_predictions_are_those_of_mirror_images(fitted):
    X, _ = images()
    np.testing.assert_allclose(
        fitted.predict_proba(X), fitted.predict_proba(X[..., ::-1].copy()), rtol=1e-4
    )
    assert not classifier(flip="none").fit(*images()).module_.flip_average


def test_other_sizes_may_be_predicted(fitted):
    X, y = images(height=12, width=9)
    assert fitted.score(X, y) > 0.5
    with pytest.raises(ValueError, match="X has 1 features, but ImageClassifier is expecting 3"):
        fitted.predict(X[:, :1])
    with pytest.raises(ValueError, match="X has 2 dimensions"):
        fitted.predict(X[:, :, 0, 0])
    with pytest.raises(ValueError, match="move the axes"):
        fitted.predict(X.transpose(0, 2, 3, 1))


def test_what_does_not_fit_the_images_of_fit_is_explained(fitted):
    X, _ = images()
    for rows, message in [
        (X[0], r"One image is X\[None\]; images without an axis of channels are X\[:, None\]"),
        (X.reshape(48, -1), r"\(n_images, 3, height, width\), and this X has 2 dimensions"),
        (X[:, :1], r"of these images: 1, of those in fit: 3\. X\.repeat\(3, axis=1\) gives"),
        (X[:, [0, 1, 2, 0]], r"in fit: 3\. X\[:, :3\] leaves"),
        (X[:, :2], r"in fit: 3\. Convert them"),
    ]:
        for given in (rows, torch.from_numpy(rows)):
            with pytest.raises(ValueError, match=message):
                fitted.predict(given)
    with pytest.raises(ValueError, match=r"fitted on X of 4; one row is X\[None\]"):
        fitted.predict(X[0][:, [0, 1, 2]])
    with pytest.raises(ValueError, match="inhomogeneous"):
        fitted.predict([[1, 2], [3]])


def test_a_batch_of_one_small_image_is_explained():
    X, y = images(height=4, width=4)
    with pytest.raises(ValueError, match=r"ImageCNN .*of a batch of one row.* larger batch_size"):
        classifier(batch_size=1).fit(X, y)


def test_images_of_another_range_are_refused(fitted, tmp_path):
    X, y = images()
    scaled = (X / 255).astype(np.float32)
    np.testing.assert_array_equal(fitted.predict(X.astype(np.float32)), fitted.predict(X))
    for use in (fitted.predict, lambda X: fitted.predict_to(tmp_path / "p.npy", X)):
        for rows in (scaled, torch.from_numpy(scaled), sn.as_dataset(scaled)):
            with pytest.raises(ValueError, match=r"scaled to about 1; .* in fit .*X \* 255"):
                use(rows)
    of_scaled = classifier().fit(scaled, y)
    sn.save(of_scaled, tmp_path / "m.sn")
    for clf in (of_scaled, sn.load(tmp_path / "m.sn")):
        for use in (clf.score, clf.partial_fit, clf.set_params(warm_start=True).fit):
            with pytest.raises(ValueError, match=r"bytes from 0 to 255; .*X / 255 scales"):
                use(X, y)
    with pytest.raises(ValueError, match=r"bytes from 0 to 255; .*X / 255 scales"):
        classifier().fit(scaled, y, X_val=X, y_val=y)


def test_only_training_images_must_be_larger_than_crop(fitted, tmp_path):
    X, y = images(height=2, width=2)
    fitted.predict_to(tmp_path / "p.npy", X)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), fitted.predict(X))
    for rows in (X[..., :1], torch.from_numpy(X[..., :1])):
        with pytest.raises(ValueError, match="2 x 1 pixels are too small"):
            fitted.predict(rows)
    with pytest.raises(ValueError, match="too small for crop=2"):
        classifier().partial_fit(X, y)
    assert "valid_loss" in classifier().fit(*images(), X_val=X, y_val=y).history_[0]


def test_images_of_different_sizes_are_refused(folder, tmp_path):
    for i, side in enumerate((8, 9)):
        (tmp_path / str(i)).mkdir()
        Image.new("RGB", (side, side)).save(tmp_path / str(i) / "x.png")
    with pytest.raises(ValueError, match="resize"):
        classifier().fit(sn.scan_images(tmp_path))
    with pytest.raises(ValueError, match="of one shape: resize images"):
        classifier().fit([np.zeros((3, side, side)) for side in (8, 9, 8)], [0, 1, 0])


def test_what_predictions_are_may_change_in_a_fit_that_goes_on(fitted):
    X, y = images()
    for go_on in ("fit", "partial_fit"):
        clf = classifier(warm_start=True).fit(X, y)
        assert clf.module_.flip_average
        assert clf.module_.channels_last
        getattr(clf.set_params(flip="none", channels_last=False), go_on)(X, y)
        assert not clf.module_.flip_average
        assert not clf.module_.channels_last


def test_saved_cloned_and_trained_further(fitted, tmp_path):
    X, y = images()
    sn.save(fitted, tmp_path / "m.sn")
    back = sn.load(tmp_path / "m.sn")
    np.testing.assert_array_equal(back.predict_proba(X), fitted.predict_proba(X))
    assert back.width_ == 4
    copies = [
        clone(one).set_params(max_epochs=1).fit(X, y).partial_fit(X, y) for one in (fitted, back)
    ]
    np.testing.assert_array_equal(*(one.predict_proba(X) for one in copies))


def test_partial_fit_from_the_start():
    X, y = images()
    clf = classifier(width=4, batch_size=8, lr=0.05, random_state=1)
    for _ in range(8):
        clf.partial_fit(X, y, classes=np.unique(y))
    assert clf.score(X, y) > 0.8


def test_searches(folder):
    ds = sn.scan_images(folder)
    search = GridSearchCV(classifier(), {"flip": ["none", "random"], "width": [1]}, cv=2)
    assert search.fit(ds, ds.target).best_estimator_.width_ == 1


def test_checkpoints(tmp_path):
    X, y = images()
    clf = classifier(checkpoint_dir=tmp_path).fit(X, y)
    again = clone(clf).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), again.predict_proba(X))


def test_predictions_to_a_file(fitted, folder, tmp_path):
    import pyarrow.parquet as pq

    ds = sn.scan_images(folder)
    fitted.predict_to(tmp_path / "p.parquet", ds)
    assert pq.read_table(tmp_path / "p.parquet")["prediction"].to_pylist() == (
        fitted.predict(ds).tolist()
    )


class Residual(nn.Module):
    """A small network of the shape of torchvision's: features, then a classifier."""

    def __init__(self, num_classes):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.classifier = nn.Linear(4, num_classes)

    def forward(self, X):
        return self.classifier(self.features(X).mean((2, 3)))


@pytest.mark.parametrize("as_class", [True, False])
def test_a_network_of_the_users_is_tuned(as_class, tmp_path):
    X, y = images()
    torch.manual_seed(0)
    network = Residual(3)
    module = {"module": Residual, "module_params": {"num_classes": 3}}
    clf = classifier(
        **(module if as_class else {"module": network}),
        freeze="features",
        lr_factors={"classifier": 10},
    ).fit(X, y)
    assert isinstance(clf.module_, ImageModule)
    if not as_class:
        for name, value in clf.module_.network.features.state_dict().items():
            assert torch.equal(value, network.features.state_dict()[name])
    sn.save(clf, tmp_path / "m.sn")
    trusted = [f"{Residual.__module__}.Residual"]
    back = sn.load(tmp_path / "m.sn", trusted=trusted)
    np.testing.assert_array_equal(back.predict_proba(X), clf.predict_proba(X))


def test_errors_name_the_network_of_the_users():
    X, y = images()
    message = r"module Residual returned shape \(3, 1000\).*a logit for each of 3 classes"
    with pytest.raises(ValueError, match=message):
        classifier(module=Residual, module_params={"num_classes": 1000}).fit(X, y)
    with pytest.raises(ValueError, match=r"Residual has no weights.*'features', 'classifier'"):
        classifier(module=Residual(3), freeze="backbone").fit(X, y)


def test_networks_of_timm():
    timm = pytest.importorskip("timm")
    network = timm.create_model("resnet10t", num_classes=3)
    X, y = images(height=32, width=32)
    clf = classifier(module=network, freeze=["conv1", "layer*"], max_epochs=1).fit(X, y)
    assert clf.predict(X).shape == y.shape


def test_multilabel_and_weights():
    X, y = images()
    labels = np.stack([y == "red", y != "blue"], axis=1).astype(int)
    assert classifier().fit(X, labels).predict(X).shape == (48, 2)
    clf = classifier(class_weight="balanced").fit(X, y, sample_weight=np.linspace(0, 1, 48))
    assert clf.predict(X).shape == (48,)


def test_label_smoothing_is_of_the_default_loss():
    X, y = images()
    smooth, hard = (classifier(label_smoothing=s).fit(X, y) for s in (0.5, 0.0))
    assert smooth.net_.criterion_.label_smoothing == 0.5
    assert hard.loss_ != smooth.loss_
    own = classifier(criterion=nn.CrossEntropyLoss, label_smoothing=0.5).fit(X, y)
    assert own.net_.criterion_.label_smoothing == 0
    given = classifier(criterion_params={"label_smoothing": 0.3}).fit(X, y)
    assert given.net_.criterion_.label_smoothing == 0.3


def test_parameters_are_checked():
    X, y = images()
    for params in ({"flip": "left"}, {"crop": -1}, {"label_smoothing": 1}, {"width": 0}):
        with pytest.raises(ValueError, match=next(iter(params))):
            classifier(**params).fit(X, y)
    assert clone(classifier(crop=1)).get_params()["crop"] == 1
