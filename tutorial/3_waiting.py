"""
3. Is the model waiting for data?
=================================

While the model trains on one batch, the next ones can be read. If reading is slower than
training, the model waits. After each fit, ``pipeline_report_`` says how long, for what, and what
would help.
"""

import matplotlib.pyplot as plt
import numpy as np

import sklearnish as sn

rng = np.random.default_rng(0)
X = rng.standard_normal((20_000, 16), dtype=np.float32)
y = X[:, 0] + X[:, 1] > 0


def sorted_sums(x):
    """Stand for any work that is done row by row."""
    return x.sort().values.cumsum(0)


slow = sn.as_dataset(X, y).map(sorted_sums)
clf = sn.TorchClassifier(max_epochs=4, num_workers=0, random_state=0).fit(slow)
clf.pipeline_report_

# %%
# The first lines name the bottleneck and how much time removing it would save. The table has the
# seconds of each epoch: how long the model waited for rows, how long it computed. ``read`` and
# ``transform`` are the seconds of the readers. The same as a picture:

sn.plotting.PipelineReportDisplay.from_estimator(clf)

# %%
# Make the rows ready
# -------------------
#
# A function that is slow and not random can run once: ``ds.cache(folder)`` writes the rows with
# their functions applied, in a format in which any row is cheap to read.

import tempfile

temporary = tempfile.TemporaryDirectory()
ready = slow.cache(f"{temporary.name}/ready")
clf.fit(ready)
sn.plotting.PipelineReportDisplay.from_estimator(clf)

# %%
# Workers
# -------
#
# ``num_workers`` decides who reads:
#
# ================  ===========================================  ===========================
# ``num_workers``   who reads                                    good for
# ================  ===========================================  ===========================
# ``0``             this process, between training steps         arrays in memory, debugging
# ``"auto"``        in memory: this process. Files: one thread   nearly everything
#                   that reads ahead, and worker processes if
#                   measurements show that they help
# a number          so many worker processes of a                when you know better
#                   ``DataLoader``
# ================  ===========================================  ===========================
#
# ``"auto"``, the default, measures and decides. The choice never changes the batches, so it never
# changes the model:

a = sn.TorchClassifier(max_epochs=1, num_threads=1, random_state=7).fit(ready)
b = sn.TorchClassifier(max_epochs=1, num_threads=1, num_workers=2, random_state=7).fit(ready)
print("the same probabilities:", np.array_equal(a.predict_proba(X[:100]), b.predict_proba(X[:100])))

# %%
# ``random_state`` fixes initial weights, the order of rows, dropout, augmentation and held-out
# rows. Another machine, another version of torch, or another number of torch threads may round
# differently.
#
# GPUs
# ----
#
# ``device="auto"`` uses a GPU if there is one. ``pin_memory="auto"`` puts batches into
# page-locked memory then, so that they are copied to the GPU while it computes.

# sphinx_gallery_start_ignore
plt.show()
# sphinx_gallery_end_ignore
