"""
7. Interrupted fits, bad rows, saving
=====================================

What happens when a fit is killed, when a row is damaged, and how a model is kept.
"""

# sphinx_gallery_thumbnail_path = "_static/history.png"

import tempfile
import warnings

import numpy as np
from sklearn.datasets import make_classification

import sklearnish as sn

X, y = make_classification(2_000, 20, random_state=0)
temporary = tempfile.TemporaryDirectory()

# %%
# Interrupted fits
# ----------------
#
# With ``checkpoint_dir=`` a fit writes a checkpoint from time to time. If it is interrupted
# (Ctrl-C, ``kill -9``, a power cut), run the same program again: it resumes from the last
# checkpoint, and ends with the same weights, history and predictions, bit for bit, as a fit that
# was not interrupted. A fit that is complete is loaded instead of repeated:

import time

params = {"max_epochs": 20, "checkpoint_dir": f"{temporary.name}/fits", "random_state": 0}
for attempt in ("first", "again"):
    start = time.perf_counter()
    clf = sn.TorchClassifier(**params).fit(X, y)
    print(f"{attempt}: {time.perf_counter() - start:.2f} s, loss {clf.loss_:.4f}")

# %%
# Each fit has its own subfolder, named by a hash of the parameters, the seed, the rows, their
# labels and weights. So the candidates and folds of a search share one ``checkpoint_dir``, and a
# search that was killed repeats no finished fit. :doc:`The example </gallery/plot_resume>` kills
# one.
#
# Bad rows
# --------
#
# A row that is damaged, NaN or infinite raises an error that names it. With
# ``on_bad_rows="skip"`` ``fit`` makes one pass to find such rows, trains on the others, warns,
# and lists them. Prediction never skips a row.

spoilt = X.copy()
spoilt[7, 1] = np.nan
try:
    sn.TorchClassifier(max_epochs=1).fit(spoilt, y)
except ValueError as error:
    print(str(error).splitlines()[-1])

# %%

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    robust = sn.TorchClassifier(max_epochs=1, on_bad_rows="skip", random_state=0).fit(spoilt, y)
print(caught[0].message)
print("skipped:", robust.pipeline_report_.n_skipped)

# %%
# A worker process that crashes is replaced, and its rows are read again. With ``isolate=True``
# the whole fit runs in a child process, so that a crash in native code, or a lack of memory, is
# an error that a search can survive (``error_score=np.nan``).
#
# Saving
# ------
#
# ``sn.save`` writes a zip of JSON and safetensors. There is no pickle in it, so a file from a
# stranger can at worst raise an error. Your own classes are stored by name, and imported only if
# you trust that name: ``sn.load("model.sn", trusted=["my_models.Net"])``.

sn.save(clf, f"{temporary.name}/model.sn")
again = sn.load(f"{temporary.name}/model.sn")
print("the same answers:", np.array_equal(clf.predict_proba(X), again.predict_proba(X)))

# %%
# To predict without sklearnish, export to ONNX or ``torch.export``: see :doc:`/deployment`.
# ``clf.module_`` is a plain ``nn.Module``, to be used wherever torch is.
#
# That was all: the :doc:`gallery </gallery/index>` has whole programs, the :doc:`user guide
# </guide>` one page per task.
