"""
Larger than memory: a file of 100 MB, read with a few
=====================================================

The file is larger than what may be used for its rows: ``shuffle_memory="16MB"`` is the room for
shuffling. The same works with a terabyte; ``examples/quickstart.py`` does it with 640 MB and ends
itself if memory passes a cap.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import sklearnish as sn

# %%
# Write the file piece by piece: it is never in memory as a whole. Small row groups in random
# order are best.

temporary = tempfile.TemporaryDirectory()
file = Path(temporary.name) / "rows.parquet"
names = [f"x{i}" for i in range(64)]
schema = pa.schema([*((name, pa.float32()) for name in names), ("label", pa.int8())])
rng = np.random.default_rng(0)
with pq.ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:
    for _ in range(100):
        X = rng.standard_normal((64, 4_096), dtype=np.float32)
        writer.write_table(pa.table([*X, (X[0] * X[1] + X[2] > 0).astype(np.int8)], schema))
print(f"{file.stat().st_size / 1e6:.0f} MB")

# %%
# Two epochs over it.

ds = sn.scan_parquet(file, target="label")
held_out, train = ds[:10_000], ds[10_000:]
clf = sn.TorchClassifier(
    max_epochs=2, batch_size=1024, lr=0.003, shuffle_memory="16MB", random_state=0
)
clf.fit(train)
print(f"accuracy {clf.score(held_out):.3f}")
clf.pipeline_report_

# %%
# Reading hides behind training, or it does not:

sn.plotting.PipelineReportDisplay.from_estimator(clf)

plt.show()
