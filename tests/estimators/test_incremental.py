import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone, is_classifier, is_clusterer, is_regressor
from sklearn.cluster import MiniBatchKMeans
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearnish as sn
from sklearnish.preprocessing import Streamed

NAMES = [f"c{i}" for i in range(6)]
X, CODES = make_classification(300, 6, n_informative=4, n_classes=3, random_state=0)
LABELS = np.array(["ant", "bee", "cow"])[CODES]
NUMBERS = X @ np.arange(6.0)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    frame = pd.DataFrame(X, columns=NAMES)
    frame.assign(y=LABELS, z=NUMBERS).to_parquet(path, row_group_size=70)
    return sn.scan_parquet(path, target="y", columns=NAMES)


def batches(y, size, epochs=1, seed=0):
    """The batches of shuffled rows, as a user can have them: rows, and their labels."""
    ds = sn.as_dataset(X).with_dtype(torch.float64).with_target(np.arange(len(X)))
    for rows, places in ds.batches(size, shuffle=True, epochs=epochs, random_state=seed):
        yield rows.numpy(), y[places.numpy()]


@pytest.mark.parametrize(
    ("estimator", "y", "learned"),
    [
        (SGDClassifier(random_state=0), LABELS, "coef_"),
        (SGDRegressor(random_state=0), NUMBERS, "coef_"),
        (GaussianNB(), LABELS, "theta_"),
        (MLPClassifier((4,), random_state=0), LABELS, "loss_"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_equals_partial_fit_by_hand(estimator, y, learned):
    found = sn.Incremental(estimator, max_epochs=2, batch_size=64, random_state=0).fit(X, y)
    by_hand = clone(estimator)
    classes = {"classes": np.unique(y)} if is_classifier(estimator) else {}
    for rows, labels in batches(y, 64, epochs=2):
        by_hand.partial_fit(rows, labels, **classes)
        classes = {}
    np.testing.assert_array_equal(getattr(found.estimator_, learned), getattr(by_hand, learned))
    np.testing.assert_array_equal(found.predict(X), by_hand.predict(X))
    assert found.score(X, y) == pytest.approx(by_hand.score(X, y))


def test_in_the_order_of_the_rows_and_going_on():
    found = sn.Incremental(SGDClassifier(random_state=0), batch_size=100, sampler="sequential")
    found.partial_fit(X, LABELS).partial_fit(X, LABELS)
    by_hand = SGDClassifier(random_state=0)
    for _ in range(2):
        for start in (0, 100, 200):
            part = slice(start, start + 100)
            by_hand.partial_fit(X[part], LABELS[part], classes=found.classes_)
    np.testing.assert_array_equal(found.estimator_.coef_, by_hand.coef_)
    assert found.n_iter_ == 2


def test_files_are_as_arrays(parquet):
    from_file = sn.Incremental(SGDClassifier(random_state=0), sampler="sequential", batch_size=50)
    from_array = clone(from_file).fit(pd.DataFrame(X, columns=NAMES), LABELS)
    from_file.fit(parquet)
    np.testing.assert_array_equal(from_file.estimator_.coef_, from_array.estimator_.coef_)
    assert from_file.classes_.tolist() == ["ant", "bee", "cow"]
    assert from_file.feature_names_in_.tolist() == NAMES
    backwards = parquet[::-1]
    np.testing.assert_array_equal(from_file.predict(backwards), from_file.predict(parquet)[::-1])
    np.testing.assert_allclose(
        from_file.decision_function(parquet), from_array.decision_function(parquet)
    )
    assert from_file.score(parquet) == from_array.score(parquet, LABELS)
    assert not hasattr(from_file, "predict_proba")  # of a hinge loss


def test_shuffled_files_and_workers(parquet):
    found = [
        sn.Incremental(SGDClassifier(random_state=0), random_state=0, num_workers=n).fit(parquet)
        for n in ("auto", 0)
    ]
    np.testing.assert_array_equal(found[0].estimator_.coef_, found[1].estimator_.coef_)


def test_a_last_batch_of_too_few_rows_joins_the_one_before():
    # 300 rows in batches of 99: the last three would be too few for four components
    found = sn.Incremental(IncrementalPCA(4), batch_size=99, sampler="sequential").fit(X)
    by_hand = IncrementalPCA(4)
    for part in (slice(0, 99), slice(99, 198), slice(198, 300)):
        by_hand.partial_fit(X[part])
    np.testing.assert_array_equal(found.estimator_.components_, by_hand.components_)
    assert sn.Incremental(IncrementalPCA(4), batch_size=2).fit(X).batch_size_ == 4


def test_transformers_give_a_dataset_of_a_dataset(parquet):
    pca = sn.Incremental(IncrementalPCA(2), random_state=0).fit(parquet)
    lazy = pca.transform(parquet)
    assert isinstance(lazy, sn.Dataset)
    assert lazy.shape == (300, 2)
    codes = pca.transform(pd.DataFrame(X, columns=NAMES))
    np.testing.assert_allclose(np.asarray(lazy), codes)
    np.testing.assert_array_equal(lazy.target, LABELS)
    np.testing.assert_allclose(
        np.asarray(pca.inverse_transform(lazy)), pca.inverse_transform(codes)
    )
    named = pca.set_output(transform="pandas").transform(pd.DataFrame(X, columns=NAMES))
    assert list(named.columns) == ["incrementalpca0", "incrementalpca1"]
    assert not hasattr(pca, "predict")


def test_clusters(parquet):
    means = sn.Incremental(MiniBatchKMeans(3, random_state=0, n_init=1), random_state=0)
    found = means.fit(parquet)
    assert is_clusterer(found)
    assert set(found.predict(parquet)) == {0, 1, 2}
    np.testing.assert_array_equal(clone(means).fit_predict(parquet), found.predict(parquet))
    assert found.transform(parquet).shape == (300, 3)
    assert found.score(parquet) == pytest.approx(found.estimator_.score(X))


def test_a_pipeline_over_files(parquet):
    model = make_pipeline(
        Streamed(StandardScaler()),
        sn.TorchTransformer(max_epochs=1, module_params={"hidden": 8}, random_state=0),
        sn.Incremental(IncrementalPCA(2)),
        sn.Incremental(SGDClassifier(random_state=0), random_state=0),
    )
    assert model.fit(parquet, parquet.target).predict(parquet).shape == (300,)


def test_searched_by_the_parameters_of_the_estimator(parquet):
    model = sn.Incremental(SGDClassifier(random_state=0), max_epochs=3, random_state=0)
    search = GridSearchCV(model, {"estimator__alpha": [1e-4, 1e3]}, cv=2)
    search.fit(parquet, parquet.target)
    assert search.best_params_ == {"estimator__alpha": 1e-4}
    assert not hasattr(model.estimator, "coef_")
    regressor = sn.Incremental(SGDRegressor(random_state=0), max_epochs=10, random_state=0)
    assert cross_val_score(regressor, X, NUMBERS, cv=2).min() > 0.9
    assert is_regressor(regressor)


def test_weights_are_handed_on():
    weight = (CODES == 1) * 10.0 + 0.1
    model = sn.Incremental(GaussianNB(), batch_size=1000, sampler="sequential")
    found = model.fit(X, CODES, sample_weight=weight)
    np.testing.assert_allclose(found.estimator_.theta_, GaussianNB().fit(X, CODES, weight).theta_)
    with pytest.raises(TypeError, match="partial_fit of IncrementalPCA takes no sample_weight"):
        sn.Incremental(IncrementalPCA()).fit(X, sample_weight=weight)
    drawn = sn.Incremental(MLPClassifier((2,)), sampler="weighted", random_state=0)
    drawn.fit(sn.as_dataset(X, CODES).with_weight((CODES > 0) * 1.0))
    assert drawn.classes_.tolist() == [0, 1, 2]  # rows of weight 0 are not drawn, but known
    plain = sn.Incremental(SGDClassifier(random_state=0), sampler="sequential")
    by_hand = SGDClassifier(random_state=0)
    by_hand.partial_fit(X[CODES > 0], CODES[CODES > 0], classes=[0, 1, 2])
    plain.fit(X, CODES, sample_weight=(CODES > 0) * 1.0)
    np.testing.assert_array_equal(plain.estimator_.coef_, by_hand.coef_)


def test_samplers_see_the_labels():
    seen = []

    def order(view):
        seen.append(view.target)
        return np.arange(10)

    sn.Incremental(GaussianNB(), sampler=order).fit(X, LABELS)
    np.testing.assert_array_equal(seen[0], LABELS)
    sn.Incremental(GaussianNB(), sampler="balanced", random_state=0).fit(X, LABELS)


@pytest.mark.parametrize(
    "estimator", [MLPClassifier((4,)), MultiOutputClassifier(SGDClassifier())], ids=["mlp", "multi"]
)
def test_several_labels_for_each_row(estimator):
    y = np.column_stack([CODES > 0, CODES > 1]).astype(int)
    found = sn.Incremental(estimator, random_state=0).fit(X, y)
    assert found.predict(X).shape == (300, 2)
    assert found.score(X, y) == pytest.approx((found.predict(X) == y).all(1).mean())


@pytest.mark.parametrize(
    ("estimator", "error", "told"),
    [
        (LogisticRegression(), TypeError, r"LogisticRegression\(\) has no partial_fit"),
        (PCA(), TypeError, "for a transformer, sklearnish.preprocessing.Streamed"),
        (SGDClassifier, TypeError, r"is the class SGDClassifier; wanted .* SGDClassifier\(\)"),
        (None, TypeError, "None has no partial_fit"),
        (MultinomialNB(), ValueError, "Negative values"),
    ],
)
def test_what_cannot_learn_is_refused(estimator, error, told):
    with pytest.raises(error, match=told):
        sn.Incremental(estimator).fit(X, LABELS)


def test_what_rows_cannot_be_used_is_said():
    model = sn.Incremental(SGDClassifier())
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.fit(X)
    with pytest.raises(ValueError, match="estimators of scikit-learn take one matrix"):
        model.fit({"a": X, "b": X}, LABELS)
    with pytest.raises(ValueError, match="max_epochs"):
        sn.Incremental(SGDClassifier(), max_epochs=0).fit(X, LABELS)
    with pytest.raises(ValueError, match="not among the classes"):
        model.partial_fit(X, LABELS).partial_fit(X[:3], ["ant", "bee", "dog"])
    with pytest.raises(ValueError, match="not the same as in the first call"):
        model.partial_fit(X, LABELS, classes=["ant", "dog"])
    fitted = model.fit(X, LABELS)
    with pytest.raises(ValueError, match="expecting 6 features"):
        fitted.predict(X[:, :4])
    before = dict(vars(fitted))
    for rows, labels in ((np.full((3, 6), np.nan), LABELS[:3]), (X[:, :2], LABELS[:9])):
        with pytest.raises(ValueError, match=r"NaN|inconsistent"):
            fitted.fit(rows, labels)
        assert vars(fitted) == before
    with pytest.raises(ValueError, match=r"balanced.*SGDRegressor has none"):
        sn.Incremental(SGDRegressor(), sampler="balanced").fit(X, NUMBERS)


def test_a_part_that_fails_half_way_changes_nothing():
    model = sn.Incremental(SGDRegressor(random_state=0), batch_size=50, sampler="sequential")
    model.fit(X, NUMBERS)
    before, coef = dict(vars(model)), model.estimator_.coef_.copy()
    broken = X.copy()
    broken[-1] = 1e308  # in the last batch
    with pytest.raises(ValueError, match="overflow"):
        model.partial_fit(broken, NUMBERS)
    assert vars(model) == before
    np.testing.assert_array_equal(model.estimator_.coef_, coef)
    again = clone(model).fit(X, NUMBERS).partial_fit(X, NUMBERS)
    np.testing.assert_array_equal(
        model.partial_fit(X, NUMBERS).estimator_.coef_, again.estimator_.coef_
    )


def test_saved_and_loaded(tmp_path, parquet):
    found = sn.Incremental(GaussianNB(), random_state=0).fit(parquet)
    sn.save(found, tmp_path / "model.sn")
    loaded = sn.load(tmp_path / "model.sn")
    np.testing.assert_array_equal(loaded.predict(parquet), found.predict(parquet))
    assert loaded.partial_fit(parquet).n_iter_ == 2


def test_predictions_in_files(tmp_path, parquet):
    found = sn.Incremental(GaussianNB(), random_state=0).fit(parquet)
    sn.predict_to(found, tmp_path / "p.parquet", parquet, method="predict_proba", columns=["z"])
    written = pd.read_parquet(tmp_path / "p.parquet")
    assert list(written.columns) == ["z", *(f"probability_{c}" for c in ("ant", "bee", "cow"))]
    np.testing.assert_allclose(written.to_numpy()[:, 1:], found.predict_proba(parquet))
