"""A table of mixed columns, what is to be learned of it, and brief fits."""

import numpy as np
import pandas as pd

FAST = {"n_members": 2, "width": 16, "max_steps": 200, "random_state": 0}
BRIEF = FAST | {"max_steps": 20}
N = 400


def frame(n=N, seed=0):
    rng = np.random.default_rng(seed)
    town = rng.choice(["Bonn", "Köln", "Rome"], n).astype(object)
    town[rng.random(n) < 0.1] = None
    size = rng.normal(100, 30, n)
    size[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "size": size,
            "rooms": rng.integers(1, 6, n),
            "town": town,
            "garden": rng.random(n) < 0.5,
        }
    )


def price(X):
    of_town = X["town"].map({"Bonn": 10.0, "Köln": 20.0, "Rome": 60.0}).fillna(0)
    return X["rooms"] * 20.0 + of_town + X["garden"] * 30.0 + X["size"].fillna(200) / 5


def label(X):
    return np.where(price(X) > 140, "dear", "cheap")


X = frame()
Y, LABELS = price(X), label(X)
