"""
Encoders and imputers over a file, in a pipeline
================================================

``Streamed`` fits any transformer of scikit-learn in one pass over a file, and applies it where
rows are read. So the pipeline can be searched, saved, and asked about DataFrames, as if all rows
were in memory.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

import sklearnish as sn

STREETS = np.array([f"Street {i}" for i in range(80)])
CITIES = np.array(["Bern", "Graz", "Linz", "Ulm"])

rng = np.random.default_rng(0)
n = 10_000
flats = pd.DataFrame(
    {
        "area": rng.normal(70, 20, n).clip(20).round(),
        "year": rng.integers(1900, 2020, n).astype(float),
        "city": rng.choice(CITIES, n, p=[0.5, 0.3, 0.19, 0.01]),
        "street": rng.choice(STREETS, n),
    }
)
per_meter = flats["city"].map(dict(zip(CITIES, (25, 13, 14, 11), strict=True)))
per_meter += flats["street"].str[7:].astype(int) / 10
flats["rent"] = (flats["area"] * per_meter + rng.normal(0, 100, n)).round(2)
flats.loc[rng.random(n) < 0.2, "year"] = np.nan

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
flats.to_parquet(folder / "flats.parquet", row_group_size=500)

ds = sn.scan_parquet(folder / "flats.parquet", target="rent")
train, test = train_test_split(ds, random_state=0)  # row numbers; nothing is read

# %%
# Gaps, scales, categories and a column with many levels.

columns = make_column_transformer(
    (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["area", "year"]),
    (OneHotEncoder(handle_unknown="infrequent_if_exist"), ["city"]),
    (TargetEncoder(), ["street"]),  # each row by the rents of others, when it is trained on
)
net = sn.TorchRegressor(max_epochs=5, lr=0.01, random_state=0)
model = make_pipeline(sn.preprocessing.Streamed(columns), net)
model

# %%
# How rare may a city be before it is put with others?

search = GridSearchCV(
    model, {"streamed__transformer__onehotencoder__min_frequency": [None, 0.05]}, cv=2
)
search.fit(train, train.target)
print(f"Best: {search.best_params_}")
print(f"R2 {search.score(test, test.target):.3f}")
print("Columns the network sees:", *search.best_estimator_[0].get_feature_names_out(), sep="\n  ")

# %%
# Saved without pickle, loaded, and asked about a DataFrame.

sn.save(search.best_estimator_, folder / "model.sn")
again = sn.load(folder / "model.sn")
rows = test.head(300)
rows = rows.assign(prediction=again.predict(rows.drop(columns="rent")).round(2))
rows.plot.scatter("rent", "prediction", s=8, figsize=(5, 4))
plt.tight_layout()

plt.show()
