"""Feature code of pandas over a file that is never whole in memory.

``map_frames`` passes rows through a function of DataFrames as they are read: text, dates and gaps
become numbers where the rows are read, in worker processes too.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

import sklearnish as sn

LINES = ["U1", "U2", "S3", "Bus"]
TYPICAL = 400.0


def write_rides(path: Path) -> None:
    """Write how late trains were."""
    rng = np.random.default_rng(0)
    n = 20_000
    rides = pd.DataFrame(
        {
            "planned": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(rng.integers(0, 366 * 24 * 60, n), "min"),
            "line": rng.choice(LINES, n),
            "passengers": rng.gamma(4.0, 100.0, n).round(),
        }
    )
    rush = rides["planned"].dt.hour.isin([7, 8, 17, 18]) & (rides["planned"].dt.day_of_week < 5)
    rides["delay"] = rush * 4 + rides["line"].eq("Bus") * 3 + rides["passengers"] / 200
    rides["delay"] += rng.exponential(0.5, n)
    rides.loc[rng.random(n) < 0.05, "passengers"] = None
    rides.to_parquet(path, row_group_size=2_000)


def features(df: pd.DataFrame) -> pd.DataFrame:
    """Numbers of a chunk of rows; nothing depends on which rows are in it."""
    hour = df["planned"].dt.hour + df["planned"].dt.minute / 60
    return pd.DataFrame(
        {
            "passengers": df["passengers"].fillna(TYPICAL) / TYPICAL,
            "uncounted": df["passengers"].isna(),
            "workday": df["planned"].dt.day_of_week < 5,
            **{f"from {h}": hour.between(h, h + 1, inclusive="left") for h in range(24)},
            **{line: df["line"] == line for line in LINES},
        }
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rides.parquet"
        write_rides(path)
        ds = sn.scan_parquet(path, target="delay")
        print("What the file holds:", ds.kinds)

        numbers = ds.map_frames(features)  # nothing but a few rows is read
        print(f"What the network sees: {numbers.shape[1]} columns, such as")
        print(numbers.select(["passengers", "uncounted", "Bus"]).head(3), "\n")

        train, test = train_test_split(numbers, random_state=0)
        reg = sn.TorchRegressor(max_epochs=5, random_state=0).fit(train)
        print(f"R2 {reg.score(test):.3f}")
