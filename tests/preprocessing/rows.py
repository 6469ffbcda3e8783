"""A table with columns of several kinds, in a file and in memory."""

import numpy as np
import pandas as pd

import sklearnish as sn

N = 1_000
NUMBERS = ["a", "b", "gaps"]


def table(n=N):
    """Numbers, whole numbers, text, both with gaps, and labels that depend on some of it."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(3, 2, n), "b": rng.exponential(size=n)})
    frame["gaps"] = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n).round(1))
    frame["rooms"] = rng.integers(0, 6, n)
    frame["city"] = rng.choice(
        np.array(["Bern", "Graz", "Ulm", "Wien"]), n, p=[0.6, 0.3, 0.07, 0.03]
    )
    frame["gappy"] = frame["city"].where(rng.random(n) > 0.1)
    frame["text"] = frame["city"] + " has " + frame["rooms"].astype(str) + " rooms"
    frame["label"] = (frame["a"] + (frame["city"] == "Bern") + rng.normal(size=n) > 3.5).astype(int)
    frame["kind"] = np.where(frame["b"] > 1, "large", np.where(frame["a"] > 3, "small", "none"))
    frame["rent"] = frame["a"] * 10 + frame["rooms"] + rng.normal(size=n)
    return frame


def in_file(frame, path, columns, target="label"):
    """Scan a file of seven row groups, of which the view has them in random order."""
    frame.to_parquet(path, row_group_size=150)
    ds = sn.scan_parquet(path, columns=columns, target=target)
    return ds[np.random.default_rng(1).permutation(len(ds))]


def memory(ds):
    """Give the rows of a view, in its order, as people have them in memory."""
    return FRAME.iloc[ds.rows].reset_index(drop=True)[list(ds.columns)]


def in_order(ds):
    """Put the rows of a view in the order of the file."""
    return ds[np.argsort(ds.rows)]


def dense(X):
    """Make an array of whatever a transformer returns."""
    return X.toarray() if hasattr(X, "toarray") else np.asarray(X)


def assert_same(result, expected):
    """Compare numbers but for rounding, and text."""
    result, expected = dense(result), dense(expected)
    if expected.dtype == object:
        assert result.tolist() == expected.tolist()
    else:
        np.testing.assert_allclose(result, expected, rtol=1e-7, atol=1e-9)


FRAME = table()
