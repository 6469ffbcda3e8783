"""A table of mixed columns."""

from decimal import Decimal

import numpy as np
import pyarrow as pa

N = 400
rng = np.random.default_rng(0)
MIXED = pa.table(
    {
        "age": pa.array(rng.normal(40, 10, N), mask=rng.random(N) < 0.1),
        "rooms": rng.integers(1, 9, N),
        "job": pa.array(rng.choice(["cook", "pilot", "nurse"], N), mask=rng.random(N) < 0.1),
        "smoker": rng.random(N) < 0.3,
        "born": pa.array(rng.integers(-90_000, 12_000, N).astype("int32"), pa.date32()),
        "seen": pa.array(rng.integers(0, 2**31, N), pa.timestamp("s")),
        "took": pa.array(rng.integers(0, 9000, N), pa.duration("s")),
        "price": pa.array([Decimal(int(i)) / 100 for i in rng.integers(0, 9999, N)]),
        "note": [f"the note {i} of {i % 7}" for i in range(N)],
        "vector": pa.array(rng.normal(size=(N, 3)).tolist(), pa.list_(pa.float64(), 3)),
        "label": rng.integers(0, 2, N),
    }
)
X = MIXED.drop_columns(["label"])
