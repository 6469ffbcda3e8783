import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import sklearnish as sn
from sklearnish.preprocessing import Streamed

NAMES = [f"c{i}" for i in range(6)]


def rows(n=200, seed=0):
    """Rows near a plane, with columns of very different scales."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2)) @ rng.normal(size=(2, 6)) + 0.01 * rng.normal(size=(n, 6))
    return X * [1, 1000, 0.01, 1, 1, 1] + 5


def cheap(**params):
    return sn.TorchTransformer(
        **{"max_epochs": 2, "module_params": {"hidden": 16}, "num_workers": 0, "random_state": 0}
        | params
    )


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    frame = pd.DataFrame(rows(), columns=NAMES)
    frame.assign(y=np.arange(200) % 2).to_parquet(path, row_group_size=60)
    return sn.scan_parquet(path, target="y")


class Conv(nn.Module):
    """An autoencoder of images whose codes are small images."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 2, 2, stride=2)
        self.up = nn.ConvTranspose2d(2, 1, 2, stride=2)

    def encode(self, X):
        return self.down(X)

    def decode(self, Z):
        return self.up(Z)

    def forward(self, X):
        return self.up(self.down(X))


class OnlyForward(nn.Module):
    def __init__(self, in_features, out_features, n_components):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_features, n_components), nn.Linear(n_components, out_features)
        )

    def half(self, X):
        return self.layers[0](X)

    def forward(self, X):
        return self.layers(X)


def test_a_plane_is_found_whatever_the_scales():
    X = rows()
    found = cheap(max_epochs=40, lr=1e-2).fit(X)
    one = PCA(1).fit(StandardScaler().fit_transform(X))
    assert found.score(X) > -0.05 > one.explained_variance_ratio_[0] - 1
    back = found.inverse_transform(found.transform(X))
    assert np.abs((back - X) / X.std(0)).mean() < 0.2


def test_files_give_the_bits_of_arrays(parquet):
    frame = pd.DataFrame(rows(), columns=NAMES)
    found = cheap(n_components=6).fit(frame)
    codes = found.transform(frame)
    lazy = found.transform(parquet)
    assert isinstance(lazy, sn.Dataset)
    np.testing.assert_array_equal(np.asarray(lazy), codes)
    np.testing.assert_array_equal(np.asarray(lazy[::-7]), codes[::-7])
    np.testing.assert_array_equal(lazy.target, parquet.target)
    assert not hasattr(lazy, "columns")  # codes are no columns of the file
    from_file = cheap(n_components=6).fit(parquet)
    np.testing.assert_array_equal(
        from_file.transform(frame), np.asarray(from_file.transform(parquet))
    )


@pytest.mark.slow
def test_workers_give_the_same_bits(parquet):
    lazy = cheap().fit(parquet).transform(parquet)
    inline, workers = (
        torch.cat([X for X, _ in lazy.batches(32, shuffle=True, num_workers=n)]) for n in (0, 2)
    )
    assert torch.equal(inline, workers)


def test_a_pipeline_over_files(parquet):
    model = make_pipeline(
        Streamed(StandardScaler()), cheap(), sn.TorchClassifier(max_epochs=1, random_state=0)
    )
    model.fit(parquet, parquet.target)
    assert model.predict(parquet).shape == (200,)


def test_y_is_ignored(parquet):
    frame = pd.DataFrame(rows(), columns=NAMES)
    plain = cheap().fit(frame).transform(frame)
    np.testing.assert_array_equal(cheap().fit(frame, ["a", "b"] * 100).transform(frame), plain)
    np.testing.assert_array_equal(cheap().fit_transform(frame, np.ones(200)), plain)
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(rows()), torch.zeros(200))
    lazy = cheap().fit(pairs).transform(pairs)
    assert isinstance(lazy, sn.Dataset)
    assert lazy.target.tolist() == [0] * 200


def test_images_keep_their_shape():
    images = np.random.default_rng(0).random((40, 1, 6, 6), np.float32)
    found = cheap(module=Conv, module_params=None).fit(images)
    codes = found.transform(images)
    assert codes.shape == (40, 18)
    assert found.inverse_transform(codes).shape == images.shape
    np.testing.assert_array_equal(
        found.inverse_transform(codes[3:5]), found.inverse_transform(codes)[3:5]
    )
    lazy = found.inverse_transform(found.transform(sn.as_dataset(images)))
    np.testing.assert_array_equal(np.asarray(lazy), found.inverse_transform(codes))
    assert found.get_feature_names_out()[-1] == "torchtransformer17"


def test_a_module_of_forward_alone_and_a_named_method():
    X = rows().astype(np.float32)
    whole = cheap(module=OnlyForward, module_params=None).fit(X)
    assert whole.transform(X).shape == X.shape
    assert not hasattr(whole, "inverse_transform")
    half = cheap(module=OnlyForward, module_params=None, transform_method="half", n_components=3)
    assert half.fit_transform(X).shape == (200, 3)


def test_the_method_of_fit_transforms_until_the_next_fit():
    X = rows().astype(np.float32)
    found = cheap(module=OnlyForward, module_params=None, transform_method="half", n_components=3)
    codes = found.fit_transform(X)
    found.set_params(transform_method="forward")
    for given in (X, sn.as_dataset(X)):
        np.testing.assert_array_equal(np.asarray(found.transform(given)), codes)
    assert len(found.get_feature_names_out()) == 3
    assert found.fit_transform(X).shape == X.shape
    assert len(found.get_feature_names_out()) == 6


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_rows_and_codes_of_files_must_be_finite_as_arrays_must(tmp_path, value, kind):
    found = cheap().fit(pd.DataFrame(rows(), columns=NAMES))
    spoilt = pd.DataFrame(rows(), columns=NAMES)
    spoilt.loc[150, "c4"] = value
    spoilt.to_parquet(tmp_path / "rows.parquet")
    lazy = found.transform(sn.scan_parquet(tmp_path / "rows.parquet"))
    with pytest.raises(ValueError, match=f"row 150 of .*: Input X contains {kind}: value 4 of"):
        np.asarray(lazy[100:])
    with pytest.warns(UserWarning, match="1 rows? (is|are) left out"):
        sn.TorchRegressor(max_epochs=1, on_bad_rows="skip").fit(lazy[::-1], np.arange(200))
    assert np.isfinite(np.asarray(lazy[:150])).all()
    codes = np.zeros((3, 2))
    codes[1, 0] = value
    for given in (codes, sn.as_dataset(codes)):
        with pytest.raises(ValueError, match=kind):
            np.asarray(found.inverse_transform(given))


def test_what_cannot_be_used_is_refused_before_training():
    X = rows()
    with pytest.raises(ValueError, match="no parameters to train"):
        cheap(module=nn.Identity(), module_params=None).fit(X)
    with pytest.raises(ValueError, match="transform_method='code' is no method of Autoencoder"):
        cheap(transform_method="code").fit(X)
    with pytest.raises(ValueError, match="a reconstruction of the 6 values"):
        cheap(module=nn.Linear(6, 2), module_params=None).fit(X)
    for loss, told in ((nn.BCEWithLogitsLoss, "from 0 to 1"), (nn.NLLLoss, "a loss of classes")):
        with pytest.raises(ValueError, match=told):
            cheap(criterion=loss).fit(X)
    with pytest.raises(ValueError, match='sampler="balanced"'):
        cheap(sampler="balanced").fit(X)
    with pytest.raises(ValueError, match="reconstructs one array"):
        cheap().fit({"a": X, "b": X})
    with pytest.raises(ValueError, match=r"wanted \(n_rows, 2\)"):
        cheap().fit(X).inverse_transform(X)


def test_rows_of_zeros_and_ones_with_a_loss_of_their_own():
    X = (rows() > 5).astype(np.float32)
    module = nn.Sequential(nn.Linear(6, 3), nn.Linear(3, 6))
    found = cheap(module=module, module_params=None, criterion=nn.BCEWithLogitsLoss).fit(X)
    assert -1 < found.score(X) < 0


def test_early_stopping_on_rows_that_are_held_out_or_given():
    X = rows()
    held = cheap(early_stopping=True, patience=1, max_epochs=5).fit(X)
    assert "valid_loss" in held.history_[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = cheap(early_stopping=True).fit(X, X_val=X[:50], sample_weight_val=np.ones(50))
    last = given.history_[-1]["valid_loss"]
    assert given.score(X[:50]) == pytest.approx(-last, rel=1e-5)


def test_weights_count_as_repetition():
    X, weight = rows(), np.arange(200) % 3
    weighted = cheap(precision="float64", batch_size=500).fit(X, sample_weight=weight)
    repeated = cheap(precision="float64", batch_size=500).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.transform(X), repeated.transform(X), rtol=1e-6)
    assert weighted.score(X, sample_weight=weight) == pytest.approx(
        weighted.score(np.repeat(X, weight, axis=0))
    )


def test_scores_of_rows_find_outliers():
    X = rows()
    found = cheap(max_epochs=30, lr=1e-2).fit(X)
    strange = X[:1] + X.std(0) * [3, -3, 3, -3, 3, -3]
    assert found.score_samples(strange)[0] < found.score_samples(X).min()


def test_partial_fit_goes_on():
    X = rows()
    found = cheap().partial_fit(X)
    first = found.score(X)
    for _ in range(5):
        found.partial_fit(X)
    assert found.n_iter_ == 6
    assert found.score(X) > first


def test_a_search_takes_the_least_loss():
    search = GridSearchCV(cheap(max_epochs=10, lr=1e-2), {"n_components": [1, 4]}, cv=2).fit(rows())
    assert search.best_params_ == {"n_components": 4}


def test_saved_and_loaded(tmp_path, parquet):
    found = cheap().fit(parquet).set_output(transform="pandas")
    sn.save(found, tmp_path / "codes.sn")
    loaded = sn.load(tmp_path / "codes.sn")
    frame = pd.DataFrame(rows(), columns=NAMES)
    pd.testing.assert_frame_equal(loaded.transform(frame), found.transform(frame))
    codes = found.transform(frame).to_numpy()
    np.testing.assert_array_equal(loaded.inverse_transform(codes), found.inverse_transform(codes))
    assert loaded.partial_fit(parquet).n_iter_ == 3


def test_an_interrupted_fit_is_found_again(tmp_path):
    X = rows()
    first = cheap(checkpoint_dir=tmp_path).fit(X)
    again = cheap(checkpoint_dir=tmp_path).fit(X)
    assert again.history_ == first.history_
    np.testing.assert_array_equal(again.transform(X), first.transform(X))


def test_codes_in_files(tmp_path, parquet):
    found = cheap().fit(parquet)
    found.predict_to(tmp_path / "codes.parquet", parquet, method="transform", columns=["y"])
    written = pd.read_parquet(tmp_path / "codes.parquet")
    assert list(written.columns) == ["y", "torchtransformer0", "torchtransformer1"]
    codes = np.asarray(found.transform(parquet))
    np.testing.assert_array_equal(written.to_numpy()[:, 1:].astype(np.float32), codes)
    found.predict_to(tmp_path / "scores.parquet", parquet, method="score_samples")
    scores = pd.read_parquet(tmp_path / "scores.parquet")["score"]
    np.testing.assert_allclose(scores, found.score_samples(parquet))


def test_columns_far_from_zero_come_back():
    X = rows() + np.array([1e9, 0, 0, 0, 0, 0])
    found = cheap(max_epochs=30).fit(X)
    back = found.inverse_transform(found.transform(X))
    assert back.dtype == np.float64
    assert np.abs(back[:, 0] - X[:, 0]).max() < 30
    np.testing.assert_array_equal(np.asarray(found.transform(sn.as_dataset(X))), found.transform(X))


def test_unfitted_it_knows_whether_it_can_decode():
    assert hasattr(cheap(), "inverse_transform")
    assert not hasattr(cheap(module=nn.Linear(6, 6)), "inverse_transform")
    assert clone(cheap(n_components=5)).n_components == 5
