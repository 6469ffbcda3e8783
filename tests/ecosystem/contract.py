"""What every estimator of scikit-learn has."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from sklearnish.preprocessing import Streamed
from tests.ecosystem.data import clf, reg


def metadata_routing(rows):
    """Metadata routing of `sample_weight`"""
    weight = np.where(rows.two == 1, 5.0, 0.2)
    with config_context(enable_metadata_routing=True):
        model = clf().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        weighted = cross_val_score(
            make_pipeline("passthrough", model),
            rows.X,
            rows.two,
            cv=2,
            params={"sample_weight": weight},
        )
    assert (weighted != cross_val_score(clf(), rows.X, rows.two, cv=2)).any()


def tags(rows):
    """Tags"""
    assert is_classifier(clf())
    assert is_regressor(reg())
    assert get_tags(clf()).classifier_tags.multi_label
    assert get_tags(clf().fit(rows.X, rows.two)).input_tags.sparse


def cloning(rows):
    """`clone`, `get_params`, `set_params`"""
    fitted = clf(lr=0.01).fit(rows.X, rows.two)
    again = clone(fitted).set_params(module__hidden=3)
    assert not hasattr(again, "module_")
    assert again.get_params()["lr"] == 0.01
    assert again.fit(rows.X, rows.two).module_.layers[0].out_features == 3


def output(rows):
    """`set_output`"""
    scaler = Streamed(StandardScaler()) if hasattr(rows.X, "read") else StandardScaler()
    model = make_pipeline(scaler, clf()).set_output(transform="pandas")
    assert model.fit(rows.X, rows.two).predict(rows.X).shape == (len(rows.two),)


def html(rows):
    """HTML representation"""
    search = GridSearchCV(make_pipeline("passthrough", clf()), {}, cv=2).fit(rows.X, rows.two)
    assert "TorchClassifier" in search._repr_html_()


def feature_names(rows):
    """Feature names"""
    frame = pd.DataFrame(np.array(rows.X[:2]), columns=list("abcd"))
    X = rows.X if hasattr(rows.X, "read") else pd.DataFrame(rows.X, columns=frame.columns)
    model = clf().fit(X, rows.two)
    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature"):
        model.predict(frame[["a", "b", "c"]])


def partial_fit(rows):
    """`partial_fit`"""
    model = clf().partial_fit(rows.X[:30], rows.two[:30], classes=[0, 1])
    assert model.partial_fit(rows.X[30:], rows.two[30:]).n_iter_ == 2
    assert reg().partial_fit(rows.X, rows.number).n_iter_ == 1


def warm_start(rows):
    """`warm_start`"""
    model = clf(warm_start=True).fit(rows.X, rows.two)
    assert model.fit(rows.X, rows.two).n_iter_ == 4


def sample_weight(rows):
    """`sample_weight`"""
    weight = np.where(np.arange(len(rows.two)) < 30, 1.0, 0.0)
    half = clf(sampler="sequential").fit(rows.X[:30], rows.two[:30])
    model = clf(sampler="sequential").fit(rows.X, rows.two, sample_weight=weight)
    torch.testing.assert_close(model.module_.state_dict(), half.module_.state_dict())


def class_weight(rows):
    """`class_weight`"""
    model = clf(class_weight={0: 1.0, 1: 50.0}).fit(rows.X, rows.two)
    assert model.predict(rows.X).mean() > clf().fit(rows.X, rows.two).predict(rows.X).mean()


def multiclass(rows):
    """Multiclass"""
    assert clf().fit(rows.X, rows.three).predict_proba(rows.X).shape == (len(rows.two), 3)


def multilabel(rows):
    """Multilabel"""
    assert clf().fit(rows.X, rows.labels).predict(rows.X).shape == rows.labels.shape


def multi_output(rows):
    """Multi-output regression"""
    assert reg().fit(rows.X, rows.numbers).predict(rows.X).shape == rows.numbers.shape


def column_transformer(rows):
    """Pipeline with `ColumnTransformer`"""
    columns = ColumnTransformer([("scaled", StandardScaler(), [0, 1])], remainder="passthrough")
    files = hasattr(rows.X, "read")
    model = make_pipeline(Streamed(columns) if files else columns, clf()).fit(rows.X, rows.two)
    assert model[0].get_feature_names_out().tolist()[0].startswith("scaled__")
    assert model.predict_proba(rows.X).shape == (len(rows.two), 2)
    return "works; in `preprocessing.Streamed`" if files else "works"
