"""Two ways from a CSV file to a DataFrame with predictions.

First with pandas: read, encode text columns in a ColumnTransformer, fit, assign. Then without
reading the file into memory: ``scan_csv`` converts it once into a cache that is read in batches.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import sklearnish as sn

NUMBERS = ["area", "rooms", "age"]


def write_csv(path: Path) -> None:
    """Write rents of flats."""
    rng = np.random.default_rng(0)
    n = 2_000
    flats = pd.DataFrame(
        {
            "area": rng.normal(70, 20, n).clip(20).round(),
            "rooms": rng.integers(1, 6, n),
            "age": rng.integers(0, 100, n),
            "city": rng.choice(["Bern", "Graz", "Ulm"], n),
        }
    )
    per_meter = flats["city"].map({"Bern": 25, "Graz": 13, "Ulm": 11}) - 0.05 * flats["age"]
    flats["rent"] = (flats["area"] * per_meter + rng.normal(0, 50, n)).round(2)
    flats.to_csv(path, index=False)


def with_pandas(path: Path) -> None:
    """Text and numbers, through scikit-learn's own encoders."""
    train, test = train_test_split(pd.read_csv(path), random_state=0)
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["city"]), remainder="passthrough"
    ).set_output(transform="pandas")
    model = make_pipeline(encode, sn.TorchRegressor(max_epochs=20, batch_size=64, random_state=0))
    model.fit(train.drop(columns="rent"), train["rent"])

    print("Columns the network sees:", *model[-1].feature_names_in_)
    print(f"R2 {model.score(test.drop(columns='rent'), test['rent']):.3f}\n")
    print(test.assign(prediction=model.predict(test.drop(columns="rent")).round(2)).head())


def from_the_file(path: Path) -> None:
    """Numbers alone, never whole in memory."""
    ds = sn.scan_csv(path, target="rent", columns=NUMBERS)
    train, test = train_test_split(ds, random_state=0)  # row numbers; nothing is read
    reg = sn.TorchRegressor(max_epochs=20, batch_size=64, random_state=0).fit(train)

    print(f"\nWithout the city, batch by batch from the file: R2 {reg.score(test):.3f}")
    print(test.head(3).assign(prediction=reg.predict(test[:3]).round(2)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("SKLEARNISH_CACHE", folder)  # the example leaves nothing behind
        csv = Path(folder) / "flats.csv"
        write_csv(csv)
        with_pandas(csv)
        from_the_file(csv)
