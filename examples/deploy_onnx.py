"""Train on a table here, predict there with onnxruntime: a process that imports no sklearnish.

The second process is given the file alone, and answers in JSON as a web service would.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import sklearnish as sn

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
        print(json.dumps({"answer": classes[p.argmax()], "probability": round(float(p.max()), 3)}))
assert "sklearnish" not in sys.modules and "torch" not in sys.modules
"""


def flats(n_rows: int = 2_000) -> tuple[pd.DataFrame, pd.Series]:
    """Make up flats, and whether they are dear."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "size": rng.normal(70, 20, n_rows).clip(15).round(1),
            "floor": rng.integers(0, 6, n_rows),
            "town": rng.choice(["Bonn", "Köln", "Rome"], n_rows),
        }
    )
    X.loc[rng.random(n_rows) < 0.1, "town"] = None
    rent = X["size"] * X["town"].map({"Rome": 1.5, "Köln": 1.2}).fillna(1) + 3 * X["floor"]
    return X, pd.Series(np.where(rent > rent.median(), "dear", "cheap"))


def main(folder: Path) -> None:
    """Train, export, ask the other process."""
    X, y = flats()
    clf = sn.TabularClassifier(quality="fast", random_state=0).fit(X[:1500], y[:1500])
    print(f"accuracy {clf.score(X[1500:], y[1500:]):.3f}")

    sn.export(clf, folder / "flats.onnx")
    print(f"flats.onnx: {(folder / 'flats.onnx').stat().st_size / 1e3:.0f} kB")

    request = {"size": [79.0, 61.0], "floor": [2, 5], "town": ["Bonn", "Köln"]}
    command = [sys.executable, "-c", SERVICE, str(folder / "flats.onnx")]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True)
    print(done.stdout, end="")

    here = clf.predict_proba(pd.DataFrame(request)).max(1)
    there = [json.loads(line)["probability"] for line in done.stdout.splitlines()]
    assert np.allclose(here, there, atol=1e-3), done.stderr


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
