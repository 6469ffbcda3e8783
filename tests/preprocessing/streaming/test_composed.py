import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import (
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    StandardScaler,
)

from sklearnish.preprocessing import Streamed
from sklearnish.preprocessing._streaming import passes
from tests.preprocessing.rows import assert_same, in_order, memory

COLUMNS = ["a", "b", "gaps", "rooms", "city"]
FILL = make_pipeline(SimpleImputer(), StandardScaler())
HOT = OneHotEncoder(min_frequency=60)

CASES = {
    "names": make_column_transformer((FILL, ["a", "gaps"]), (HOT, ["city", "rooms"])),
    "numbers": make_column_transformer((FILL, [0, -3]), (HOT, slice(3, 5)), remainder=Normalizer()),
    "mask": make_column_transformer((FILL, [True, True, False, False, False])),
    "selector": make_column_transformer(
        (FILL, make_column_selector(dtype_include="number")),
        (HOT, make_column_selector("city")),
    ),
    "function": make_column_transformer((HOT, lambda X: X.columns[-2:])),
    "remainder": make_column_transformer((HOT, ["city"]), remainder=FILL),
    "passed": make_column_transformer(
        (HOT, ["city"]), ("drop", ["a"]), ("passthrough", ["rooms"]), remainder="passthrough"
    ),
    "none": make_column_transformer((HOT, []), (HOT, make_column_selector("zip")), (FILL, ["a"])),
    "weighted": ColumnTransformer(
        [("s", FILL, ["a"]), ("h", HOT, ["city"])],
        transformer_weights={"s": 2.0},
        sparse_threshold=0.9,
        verbose_feature_names_out=False,
    ),
    "nested": make_column_transformer(
        (
            make_pipeline(FILL, make_union(PCA(1), QuantileTransformer(n_quantiles=9))),
            ["a", "gaps"],
        ),
        (make_column_transformer((HOT, ["city"]), remainder=StandardScaler()), ["city", "rooms"]),
    ),
    "union": make_pipeline(
        make_column_transformer((FILL, ["a", "gaps"])),
        FeatureUnion(
            [
                ("s", StandardScaler()),
                ("p", PolynomialFeatures()),
                ("n", "passthrough"),
                ("d", "drop"),
            ]
        ),
    ),
    "skipped": make_pipeline("passthrough", make_column_transformer((FILL, ["a"])), None),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("output", ["default", "pandas"])
def test_parts_learn_what_they_learn_in_memory(scanned, name, output):
    transformer = clone(CASES[name])
    if output == "pandas":
        transformer = _with_frames(transformer)
    ds = scanned(COLUMNS)
    plain = clone(transformer).fit(memory(in_order(ds)))
    streamed = Streamed(transformer).fit(ds)
    found, expected = streamed.transformer_.transform(memory(ds)), plain.transform(memory(ds))
    assert type(found) is type(expected)
    assert_same(found, expected)
    assert streamed.transformer_.get_params().keys() == plain.get_params().keys()
    if name != "skipped":
        names = plain.get_feature_names_out()
        np.testing.assert_array_equal(streamed.get_feature_names_out(), names)
    if output == "pandas":
        assert found.dtypes.tolist() == expected.dtypes.tolist()
        assert streamed.transform(ds).columns == tuple(expected.columns)


def _with_frames(transformer):
    """Ask for frames, of which no part may be sparse."""
    for key in transformer.get_params():
        if key.endswith("sparse_output"):
            transformer.set_params(**{key: False})
    return transformer.set_output(transform="pandas")


def test_what_was_fitted_is_scikit_learns_own(scanned):
    streamed = Streamed(CASES["remainder"]).fit(scanned(COLUMNS))
    columns = streamed.transformer_
    assert [type(part) for _, part, _ in columns.transformers_] == [OneHotEncoder, type(FILL)]
    assert columns.named_transformers_["onehotencoder"].categories_[0][0] == "Bern"
    assert not hasattr(columns.transformers[0][1], "categories_")
    assert not hasattr(columns.remainder[0], "statistics_")


@pytest.mark.parametrize(
    ("transformer", "n"),
    [
        (make_column_transformer((StandardScaler(), ["a"]), (HOT, ["city"])), 1),
        (make_column_transformer((FILL, ["a"]), (FILL, ["gaps"]), (HOT, ["city"])), 2),
        (make_pipeline(make_column_transformer((FILL, ["a", "b"])), Normalizer(), PCA(1)), 3),
        (make_column_transformer((make_pipeline(Normalizer(), PolynomialFeatures()), ["a"])), 1),
    ],
)
def test_a_pass_is_made_for_each_step_that_learns(scanned, monkeypatch, transformer, n):
    read, count = passes.read_frames, []

    def counted(*args, **keywords):
        for frame, places in read(*args, **keywords):
            count.append(len(places))
            yield frame, places

    monkeypatch.setattr(passes, "read_frames", counted)
    ds = scanned(COLUMNS)
    Streamed(transformer).fit(ds)
    assert sum(count) <= n * len(ds)
    assert sum(count) > (n - 1) * len(ds)


def test_columns_that_are_not_there_are_named(scanned):
    with pytest.raises(ValueError, match="zip"):
        Streamed(make_column_transformer((HOT, ["zip"]))).fit(scanned(COLUMNS))
