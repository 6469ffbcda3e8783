"""A table with labels and weights."""

import numpy as np
import pandas as pd

N = 50
FRAME = pd.DataFrame(
    {
        "a": np.arange(N, dtype=np.float32),
        "b": -np.arange(N),
        "label": [f"class {i % 3}" for i in range(N)],
        "w": np.arange(N) / N,
    }
)
