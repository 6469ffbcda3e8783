"""
Text as hashed n-grams
======================

Texts become numbers where rows are read: ``HashingVectorizer`` counts n-grams of letters under the
hash of each, so it learns nothing and needs no pass over the file. ``map_frames`` applies it to
chunks of a Parquet file that is never in memory as a whole.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import GridSearchCV, train_test_split

import sklearnish as sn

# %%
# Notes to a help desk, with typing errors.

WORDS = {
    "printer": "printer paper jam toner cartridge tray print page feed",
    "network": "network wifi router cable connection vpn slow internet signal",
    "account": "password account login locked reset user expired access",
}
OTHERS = "please help the a my is not since today again urgent thanks it does"


def note(topic, rng):
    """Write a few words about a topic, with letters that are missing."""
    words = [*rng.choice(WORDS[topic].split(), 3), *rng.choice(OTHERS.split(), 7)]
    rng.shuffle(words)
    return "".join(letter for letter in " ".join(words) if rng.random() > 0.25)


rng = np.random.default_rng(0)
topics = rng.choice(list(WORDS), 3_000)
notes = pd.DataFrame({"note": [note(topic, rng) for topic in topics], "topic": topics})

temporary = tempfile.TemporaryDirectory()
notes.to_parquet(Path(temporary.name) / "notes.parquet", row_group_size=500)
ds = sn.scan_parquet(Path(temporary.name) / "notes.parquet", target="topic")
ds

# %%
# A text becomes 512 numbers.

hashing = HashingVectorizer(n_features=512, analyzer="char_wb", ngram_range=(2, 4))


def counts(frame):
    """Count the n-grams of a chunk of rows."""
    numbers = hashing.transform(frame["note"]).toarray().astype("float32")
    return pd.DataFrame(numbers, columns=[f"hash{i}" for i in range(512)])


hashed = ds.map_frames(counts)
train, test = train_test_split(hashed, stratify=ds.target, random_state=0)
print(hashed.shape)

# %%
# From here on, it is a table of numbers like any other.

clf = sn.TorchClassifier(max_epochs=6, random_state=0)
search = GridSearchCV(clf, {"module__dropout": [0.0, 0.5]}, cv=2).fit(train, train.target)
print(search.best_params_, f"accuracy {search.score(test, test.target):.3f}")
ConfusionMatrixDisplay.from_predictions(test.target, search.predict(test))

plt.show()
