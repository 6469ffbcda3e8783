"""
Where does the time of a fit go?
================================

Read the report of a fit, draw it, and act on it: the same model is trained on rows that a
function computes again in every epoch, and on the same rows written once to a folder.
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np

import sklearnish as sn


def slow_feature(x):
    """Pretend that a row needs some work before it can be learned from."""
    return x.sort().values.cumsum(0)


rng = np.random.default_rng(0)
X = rng.standard_normal((20_000, 16), dtype=np.float32)
ds = sn.as_dataset(X, X[:, 0] + X[:, 1] > 0).map(slow_feature)

clf = sn.TorchClassifier(max_epochs=4, random_state=0).fit(ds)
slow = clf.pipeline_report_
slow

# %%
# Rows that are ready
# -------------------

temporary = tempfile.TemporaryDirectory()
clf.fit(ds.cache(f"{temporary.name}/ready"))
clf.pipeline_report_

# %%
# Side by side
# ------------


for name, report in [("anew in every epoch", slow), ("ready", clf.pipeline_report_)]:
    seconds = report.to_frame()[["seconds", "wait"]].sum()
    print(f"rows {name:20} {seconds['seconds']:.2f} s, {seconds['wait']:.2f} s of them waiting")

figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", sharey=True)
sn.plotting.PipelineReportDisplay.from_report(slow, ax=axes[0])
sn.plotting.PipelineReportDisplay.from_estimator(clf, ax=axes[1])

plt.show()
