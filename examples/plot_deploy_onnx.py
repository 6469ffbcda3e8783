"""
Deployment: train here, predict there with ONNX
===============================================

Exports a table model to one file, and predicts with onnxruntime in another process, which imports
neither torch nor sklearnish. It is given the file alone, and answers in JSON as a web service
would.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import sklearnish as sn

rng = np.random.default_rng(0)
n = 2_000
X = pd.DataFrame(
    {
        "size": rng.normal(70, 20, n).clip(15).round(1),
        "floor": rng.integers(0, 6, n),
        "town": rng.choice(["Bonn", "Köln", "Rome"], n),
    }
)
X.loc[rng.random(n) < 0.1, "town"] = None
rent = X["size"] * X["town"].map({"Rome": 1.5, "Köln": 1.2}).fillna(1) + 3 * X["floor"]
y = pd.Series(np.where(rent > rent.median(), "dear", "cheap"))

clf = sn.TabularClassifier(quality="fast", random_state=0).fit(X[:1500], y[:1500])
print(f"accuracy {clf.score(X[1500:], y[1500:]):.3f}")

# %%
# One file
# --------

temporary = tempfile.TemporaryDirectory()
file = Path(temporary.name) / "flats.onnx"
sn.export(clf, file)
print(f"{file.name}: {file.stat().st_size / 1e3:.0f} kB")

# %%
# The other process
# -----------------

SERVICE = """
import json, sys
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
types = {"tensor(double)": float, "tensor(string)": object}
for line in sys.stdin:
    request = json.loads(line)
    rows = {i.name: np.array(request[i.name], types[i.type]) for i in session.get_inputs()}
    for p in session.run(None, rows)[0]:
        print(json.dumps({"answer": classes[p.argmax()], "probability": float(p.max())}))
assert "sklearnish" not in sys.modules and "torch" not in sys.modules
"""

request = X[1500:].dropna().head(100)
done = subprocess.run(
    [sys.executable, "-c", SERVICE, str(file)],
    input=json.dumps(request.to_dict("list")),
    capture_output=True,
    text=True,
    check=True,
)
answers = pd.DataFrame([json.loads(line) for line in done.stdout.splitlines()])
answers.head(3)

# %%
# The same probabilities, but for the last digits
# -----------------------------------------------

here = clf.predict_proba(request).max(1)
assert np.allclose(here, answers["probability"], atol=1e-3)
figure, ax = plt.subplots(figsize=(4.5, 4), layout="constrained")
ax.scatter(here, answers["probability"], s=12)
ax.set(xlabel="probability here", ylabel="probability there", title="100 flats")

plt.show()
