"""Streamed over files against the transformer of scikit-learn in memory."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA, IncrementalPCA, MiniBatchDictionaryLearning
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils.estimator_checks import parametrize_with_checks

import sklearnish as sn
from sklearnish.preprocessing import Streamed
from sklearnish.preprocessing._streaming import passes
from tests.preprocessing.rows import FRAME, NUMBERS, N, assert_same, dense, in_order, memory

FULL = ["a", "b", "rooms"]


def as_words(X):
    """Make the dicts that a FeatureHasher takes."""
    return [{"city": city, "text": text} for city, text in zip(X["city"], X["text"], strict=True)]


CASES = {
    "standard": (StandardScaler(), FULL),
    "standard with gaps": (StandardScaler(), NUMBERS),
    "min max": (MinMaxScaler((-1, 1)), NUMBERS),
    "max abs": (MaxAbsScaler(), NUMBERS),
    "incremental PCA": (IncrementalPCA(2), FULL),
    "incremental PCA of batches": (IncrementalPCA(2, batch_size=90), FULL),
    "normalizer": (Normalizer(), FULL),
    "binarizer": (Binarizer(), FULL),
    "function": (FunctionTransformer(np.tanh, feature_names_out="one-to-one"), FULL),
    "polynomial": (PolynomialFeatures(), FULL),
    "one-hot": (OneHotEncoder(), ["city", "rooms", "gappy"]),
    "dense": (OneHotEncoder(sparse_output=False, drop="first"), ["city", "gaps"]),
    "infrequent": (OneHotEncoder(min_frequency=80), ["city", "rooms", "gappy"]),
    "ordinal": (OrdinalEncoder(), ["city", "rooms", "gappy"]),
    "ordinal infrequent": (
        OrdinalEncoder(min_frequency=80, max_categories=4, encoded_missing_value=-1),
        ["city", "rooms", "gappy"],
    ),
    "target": (TargetEncoder(), ["city", "rooms", "gappy"]),
    "mean": (SimpleImputer(add_indicator=True), NUMBERS),
    "frequent": (SimpleImputer(strategy="most_frequent", add_indicator=True), NUMBERS),
    "constant": (SimpleImputer(strategy="constant", fill_value=-1), NUMBERS),
    "indicator": (MissingIndicator(), [*NUMBERS, "rooms"]),
    "hashed text": (HashingVectorizer(n_features=64), ["text"]),
    "hashed words": (
        make_pipeline(FunctionTransformer(as_words), FeatureHasher(n_features=32)),
        ["city", "text"],
    ),
}
SAMPLED = {
    "quantile": (QuantileTransformer(n_quantiles=50, subsample=None), NUMBERS),
    "robust": (RobustScaler(), NUMBERS),
    "bins": (KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), FULL),
    "neighbours": (KNNImputer(), NUMBERS),
    "PCA": (PCA(2), FULL),
    "spline": (SplineTransformer(knots="quantile"), FULL),
    "median": (SimpleImputer(strategy="median"), NUMBERS),
    "best": (SelectKBest(k=2), FULL),
}


@pytest.mark.parametrize("name", [*CASES, *SAMPLED])
def test_over_a_file_it_is_what_it_is_in_memory(scanned, name):
    transformer, columns = (CASES | SAMPLED)[name]
    ds = scanned(columns)
    streamed = Streamed(transformer).fit(ds)
    rows, ordered = memory(ds), memory(in_order(ds))
    if columns == ["text"]:
        rows, ordered = rows["text"], ordered["text"]
    plain = clone(transformer).fit(ordered, FRAME["label"])
    expected = dense(plain.transform(rows))
    assert_same(streamed.transformer_.transform(rows), expected)
    assert repr(streamed.transformer_) == repr(plain)
    assert streamed.n_sampled_rows_ == (N if name in SAMPLED else 0)
    for attribute in ("n_features_in_", "feature_names_in_"):
        assert hasattr(streamed, attribute) == hasattr(plain, attribute)
    if name not in ("hashed text", "hashed words"):
        names = plain.get_feature_names_out()
        np.testing.assert_array_equal(streamed.get_feature_names_out(), names)
    lazy = streamed.transform(ds)
    assert isinstance(lazy, sn.Dataset)
    assert lazy.shape == expected.shape
    np.testing.assert_array_equal(lazy.target, ds.target)
    read = lazy.read(np.arange(N)).X
    np.testing.assert_allclose(read, expected.astype(np.float32), rtol=1e-5, atol=1e-5)


def test_dictionary_learning_sees_batches_of_its_size(scanned):
    ds = scanned(FULL)
    learner = MiniBatchDictionaryLearning(2, batch_size=300, random_state=0)
    streamed = Streamed(learner).fit(ds)
    plain, X = clone(learner), memory(in_order(ds))
    for start in range(0, N, 300):
        plain.partial_fit(X[start : start + 300])
    assert_same(streamed.transformer_.components_, plain.components_)


def everything():
    """Make a transformer with a part of each kind, none of which uses a sample."""
    fill = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer(
        [
            ("numbers", fill, ["a", "gaps"]),
            ("pca", IncrementalPCA(2, batch_size=150), ["a", "b"]),
            ("hot", OneHotEncoder(min_frequency=60), ["city", "rooms"]),
            ("target", TargetEncoder(), ["gappy"]),
            ("words", HashingVectorizer(n_features=16), "text"),
        ]
    )


MIXED = ["a", "b", "gaps", "rooms", "city", "gappy", "text"]


@pytest.fixture(scope="module")
def expected():
    return dense(everything().fit(FRAME, FRAME["label"]).transform(FRAME))


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 12).map(lambda n: 90 * n), seed=st.integers(0, 99))
def test_chunks_and_the_order_of_a_view_change_nothing(scanned, expected, rows, seed):
    ds = scanned(MIXED)
    view = ds[np.random.default_rng(seed).permutation(N)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "_ROWS", rows)
        streamed = Streamed(everything()).fit(view)
    assert_same(streamed.transformer_.transform(FRAME), expected)
    lazy = streamed.transform(view)
    np.testing.assert_allclose(lazy.read(range(9)).X, expected[view.rows[:9]], atol=1e-4)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 12).map(lambda n: 90 * n), seed=st.integers(0, 99))
def test_nor_do_they_change_the_sample(scanned, rows, seed):
    transformer = make_column_transformer(
        (QuantileTransformer(n_quantiles=20), ["a"]), (PCA(1), ["b"])
    )
    streamed = Streamed(transformer, sample_rows=300)
    ds = scanned(["a", "b"])
    once = streamed.fit(in_order(ds)).transformer_
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "_ROWS", rows)
        again = clone(streamed).fit(ds[np.random.default_rng(seed).permutation(N)])
    np.testing.assert_array_equal(once.transform(FRAME), again.transformer_.transform(FRAME))
    assert again.n_sampled_rows_ == 300


def test_workers_transform_the_same(scanned):
    ds = scanned(MIXED)
    lazy = Streamed(everything()).fit_transform(ds)
    rows = [
        np.concatenate([X for X, _ in lazy.batches(64, shuffle=True, num_workers=workers)])
        for workers in (0, 2)
    ]
    np.testing.assert_array_equal(*rows)


# In memory


@pytest.mark.parametrize("name", [*CASES, *SAMPLED])
def test_in_memory_it_is_the_transformer(name):
    transformer, columns = (CASES | SAMPLED)[name]
    X = FRAME["text"] if columns == ["text"] else FRAME[columns]
    if name == "target":
        transformer = TargetEncoder(cv=StratifiedKFold(4))
    plain, streamed = clone(transformer), Streamed(transformer)
    np.testing.assert_array_equal(
        dense(streamed.fit_transform(X, FRAME["label"])),
        dense(plain.fit_transform(X, FRAME["label"])),
    )
    np.testing.assert_array_equal(
        dense(streamed.fit(X, FRAME["label"]).transform(X)), dense(plain.transform(X))
    )
    assert streamed.n_sampled_rows_ == 0


def test_what_a_file_taught_it_is_undone_in_memory(scanned):
    streamed = Streamed(StandardScaler()).fit(scanned(FULL))
    assert_same(streamed.inverse_transform(streamed.transform(FRAME[FULL])), FRAME[FULL])
    assert not hasattr(Streamed(Normalizer()), "inverse_transform")


@parametrize_with_checks([Streamed(StandardScaler())])
def test_it_is_an_estimator(estimator, check):
    check(estimator)


def test_rows_without_names_are_arrays(tmp_path):
    X = FRAME[FULL].to_numpy()
    np.save(tmp_path / "X.npy", X)
    for ds in (sn.scan_npy(tmp_path / "X.npy")[::-1], sn.as_dataset(X.copy())[::-1]):
        streamed = Streamed(make_pipeline(StandardScaler(), PCA(2))).fit(ds)
        assert not hasattr(streamed, "feature_names_in_")
        plain = make_pipeline(StandardScaler(), PCA(2)).fit(X)
        assert_same(streamed.transform(X), plain.transform(X))
        read = streamed.transform(ds).read(range(5)).X
        np.testing.assert_allclose(read, plain.transform(X[::-1][:5]), rtol=1e-5)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.from_pandas])
def test_a_frame_that_became_a_dataset(make):
    ds = sn.as_dataset(make(FRAME[MIXED]), FRAME["label"])
    streamed = Streamed(everything()).fit(ds)
    expected = everything().fit(FRAME, FRAME["label"]).transform(FRAME)
    assert_same(streamed.transformer_.transform(FRAME), expected)


def test_a_type_that_differs_between_chunks_is_that_of_the_whole(tmp_path):
    whole = np.where(np.arange(N) == 700, np.nan, np.arange(N) % 4)
    frame = pd.DataFrame({"gap": pd.array(whole, dtype="Int64"), "flag": whole > 1})
    frame["flag"] = frame["flag"].astype(object).where(np.arange(N) != 300, None)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=150)
    ds = sn.scan_parquet(tmp_path / "t.parquet")
    plain = frame.astype({"gap": float})
    for transformer in (
        make_pipeline(SimpleImputer(strategy="constant", fill_value=-0.5), StandardScaler()),
        make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()),
        OrdinalEncoder(),
    ):
        view, X = ds, plain
        if "simpleimputer" in str(transformer).lower():
            view, X = ds.select(["gap"]), plain[["gap"]]
        streamed = Streamed(transformer).fit(view)
        expected = dense(clone(transformer).fit(X).transform(X))
        assert_same(streamed.transform(X), expected)
        np.testing.assert_allclose(np.asarray(streamed.transform(view)), expected, rtol=1e-6)


def test_functions_of_rows_come_first(scanned):
    ds = scanned(["a", "b"]).map_frames(lambda df: df.assign(ratio=df["a"] / (1 + df["b"])))
    streamed = Streamed(StandardScaler()).fit(ds)
    assert streamed.feature_names_in_.tolist() == ["a", "b", "ratio"]
    assert abs(np.asarray(streamed.transform(ds)).mean(axis=0)).max() < 1e-6


# Names and types of the result


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_give_names(scanned, library):
    ds = scanned(MIXED)
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["city"]),
        (StandardScaler(), ["a"]),
        verbose_feature_names_out=False,
    )
    streamed = Streamed(encode).set_output(transform=library).fit(ds)
    plain = clone(encode).set_output(transform=library).fit(FRAME)
    names = tuple(plain.get_feature_names_out())
    lazy = streamed.transform(ds)
    assert lazy.columns == names == ("city_Bern", "city_Graz", "city_Ulm", "city_Wien", "a")
    assert type(streamed.transform(FRAME)) is type(plain.transform(FRAME))
    assert_same(lazy.to_pandas()[list(names)], plain.transform(memory(ds)))
    streamed.set_output(transform="default")
    assert isinstance(streamed.transform(FRAME), np.ndarray)


def test_sparse_results_become_dense(scanned):
    ds = scanned(["city", "rooms"])
    lazy = Streamed(OneHotEncoder()).fit_transform(ds)
    assert lazy.shape == (N, 10)
    assert lazy.read([0]).X.sum() == 2


# In pipelines and searches


@pytest.fixture
def clf():
    return sn.TorchClassifier(module_params={"hidden": 8}, max_epochs=3, lr=0.05, random_state=0)


def encoded(clf):
    columns = make_column_transformer(
        (StandardScaler(), ["a", "b"]), (OneHotEncoder(sparse_output=False), ["city"])
    )
    return make_pipeline(Streamed(columns), clf)


def test_a_pipeline_predicts_as_in_memory(scanned, clf):
    ds = in_order(scanned(["a", "b", "city"]))
    model = encoded(clf).fit(ds, ds.target)
    plain = encoded(clf).fit(memory(ds), ds.target)
    np.testing.assert_allclose(
        model.predict_proba(ds), plain.predict_proba(memory(ds)), rtol=0.05, atol=0.02
    )
    assert model.score(ds, ds.target) > 0.7
    assert_same(model.predict_proba(memory(ds)), model.predict_proba(ds))


def test_a_search_tries_parameters_of_the_transformer(scanned, clf):
    ds = scanned(["a", "b", "city"])
    least = "streamed__transformer__onehotencoder__min_frequency"
    search = GridSearchCV(encoded(clf), {least: [None, 100]}, cv=2).fit(ds, ds.target)
    plain = GridSearchCV(encoded(clf), {least: [None, 100]}, cv=2).fit(memory(ds), ds.target)
    for scores in ("mean_test_score", "std_test_score"):
        np.testing.assert_allclose(search.cv_results_[scores], plain.cv_results_[scores], atol=0.05)
    assert search.predict(ds).shape == (N,)


def test_each_fold_learns_from_its_own_rows(scanned, clf):
    ds = scanned(["a", "b", "city"])
    folds = list(StratifiedKFold(3).split(ds, ds.target))
    done = cross_validate(encoded(clf), ds, ds.target, cv=folds, return_estimator=True)
    for (train, _), model in zip(folds, done["estimator"], strict=True):
        scaler = model[0].transformer_.named_transformers_["standardscaler"]
        np.testing.assert_allclose(scaler.mean_, FRAME[["a", "b"]].iloc[ds.rows[train]].mean())


def test_weights_are_used_where_they_are_taken(scanned):
    ds, weight = scanned(["a", "b"]), np.random.default_rng(0).random(N)
    plain = StandardScaler().fit(memory(ds), sample_weight=weight)
    for streamed in (
        Streamed(StandardScaler()).fit(ds, sample_weight=weight),
        Streamed(StandardScaler()).fit(ds.with_weight(weight)),
        Streamed(make_pipeline(StandardScaler(), Normalizer())).fit(ds.with_weight(weight)),
        Streamed(StandardScaler()).fit(memory(ds), sample_weight=weight),
    ):
        scaler = streamed.transformer_
        scaler = scaler if isinstance(scaler, StandardScaler) else scaler[0]
        np.testing.assert_allclose(scaler.mean_, plain.mean_)
        np.testing.assert_allclose(scaler.var_, plain.var_)
    spline = SplineTransformer(knots="quantile")
    streamed = Streamed(spline).fit(ds, sample_weight=weight)
    order = np.argsort(ds.rows)
    plain = clone(spline).fit(memory(ds[order]), sample_weight=weight[order])
    assert_same(streamed.transform(memory(ds)), plain.transform(memory(ds)))


def test_weights_that_nothing_takes_are_refused(scanned):
    for X in (scanned(["a"]), FRAME[["a"]]):
        with pytest.raises(TypeError, match=r"PCA takes no sample_weight\."):
            Streamed(PCA()).fit(X, sample_weight=np.ones(N))


def test_labels_follow_the_rows(scanned):
    ds = scanned(["city"])
    y = np.random.default_rng(5).random(N)
    streamed = Streamed(TargetEncoder()).fit(ds, y)
    assert_same(
        streamed.transform(memory(ds)), TargetEncoder().fit(memory(ds), y).transform(memory(ds))
    )


def test_routed_weights_reach_it(scanned, clf):
    ds, weight = scanned(["a", "b"]), np.random.default_rng(0).random(N)
    with config_context(enable_metadata_routing=True):
        scale = Streamed(StandardScaler()).set_fit_request(sample_weight=True)
        clf.set_fit_request(sample_weight=False)
        model = make_pipeline(scale, clf).fit(ds, ds.target, sample_weight=weight)
    plain = StandardScaler().fit(memory(ds), sample_weight=weight)
    np.testing.assert_allclose(model[0].transformer_.mean_, plain.mean_)


# What it refuses


@pytest.mark.parametrize("transformer", [StandardScaler, "scale", None, LogisticRegression()])
def test_it_takes_a_transformer(scanned, transformer):
    for X in (scanned(["a"]), FRAME[["a"]]):
        with pytest.raises(TypeError, match=r"must be a transformer of scikit-learn.*got"):
            Streamed(transformer).fit(X)


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "all"])
def test_it_takes_a_number_of_rows(scanned, n):
    for X in (scanned(["a"]), FRAME[["a"]]):
        with pytest.raises(ValueError, match="sample_rows must be an integer of at least 1, got"):
            Streamed(PCA(), sample_rows=n).fit_transform(X)


def test_it_refuses_what_it_cannot_learn_from(scanned):
    ds = scanned(["a", "b"])
    with pytest.raises(ValueError, match=r"0 sample\(s\).*no rows"):
        Streamed(StandardScaler()).fit(ds[:0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        Streamed(TargetEncoder()).fit(ds, [0, 1])
    with pytest.raises(NotFittedError):
        Streamed(StandardScaler()).transform(ds)
    with pytest.raises(ValueError, match="could not convert string to float: "):
        Streamed(StandardScaler()).fit(scanned(["city"]))
    with pytest.raises(TypeError, match=r"X is the name of a file.*Scan it first"):
        Streamed(StandardScaler()).fit("t.parquet")
    with pytest.raises(ValueError, match="takes one column of text, got 2 columns: city, text"):
        Streamed(HashingVectorizer()).fit(scanned(["city", "text"]))


def test_unknown_categories_are_named_with_their_rows(scanned):
    ds = scanned(["city"])
    streamed = Streamed(OneHotEncoder()).fit(ds[ds.column("city") != "Wien"])
    with pytest.raises(ValueError, match=r"unknown categories \['Wien'\] in column 0") as error:
        np.asarray(streamed.transform(ds))
    assert "t.parquet" in " ".join(error.value.__notes__)


def _reviews(n=600):
    """Short texts, one in ten of them missing, whose words tell the label."""
    rng = np.random.default_rng(0)
    names = "good fine great nice bad poor awful sad the of it a film plot"
    words = np.array(names.split(" "))
    label = rng.integers(0, 2, n)
    ends = [rng.choice(words[:4] if good else words[4:8]) for good in label]
    texts = [f"{' '.join(rng.choice(words[8:], 4))} {end}" for end in ends]
    frame = pd.DataFrame({"text": texts, "stars": rng.normal(size=n), "label": label})
    frame.loc[::10, "text"] = None
    return frame


def _filled(frame):
    return frame.fillna({"text": ""})


def test_a_classifier_learns_text_of_a_file_as_hashed_words(tmp_path):
    frame = _reviews()
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=100)
    ds = sn.scan_parquet(tmp_path / "t.parquet", target="label").map_frames(_filled)
    columns = ColumnTransformer(
        [
            ("words", HashingVectorizer(n_features=256, ngram_range=(1, 2)), "text"),
            ("stars", StandardScaler(), ["stars"]),
        ]
    )
    net = sn.TorchClassifier(max_epochs=6, random_state=0, num_workers=0, num_threads=1)
    model = make_pipeline(Streamed(columns), net).fit(ds[:450])
    known = ds[450:][frame["text"][450:].notna().to_numpy()]
    assert model.score(known, known.target) > 0.95
    there = _filled(frame)[["text", "stars"]]
    np.testing.assert_allclose(model.predict_proba(there), model.predict_proba(ds), rtol=1e-4)


def test_rows_too_wide_to_become_dense_are_refused(scanned):
    ds = scanned(["text"])
    with pytest.raises(ValueError, match=r"1,048,576 features in a sparse matrix.* 4\.0 MB"):
        Streamed(HashingVectorizer()).fit(ds).transform(ds)


def test_texts_that_end_like_names_of_images_are_texts():
    texts = ["see holiday.png", "nothing to see"]
    hashed = HashingVectorizer(n_features=64)
    assert (Streamed(hashed).fit_transform(texts) != hashed.transform(texts)).nnz == 0
    with pytest.raises(TypeError, match="X is the name of a file"):
        Streamed(hashed).fit_transform("reviews.csv")
