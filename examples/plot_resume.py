"""
A fit that is killed, and resumes
=================================

A program fits with ``checkpoint_dir=``. It is killed in the middle of the fit (``kill -9``), and
started again. The second run ends with the same losses, bit for bit, as a fit that nobody killed.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)

PROGRAM = """
import json, sys
import sklearnish as sn
from sklearn.datasets import make_classification

X, y = make_classification(2_000, 40, n_informative=20, random_state=0)
clf = sn.TorchClassifier(
    max_epochs=30, num_threads=1, checkpoint_dir=sys.argv[1], random_state=0
)
clf.fit(X, y)
print(json.dumps([epoch["train_loss"] for epoch in clf.history_]))
"""


def start(checkpoints):
    """Start the program."""
    command = [sys.executable, "-c", PROGRAM, str(folder / checkpoints)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


# %%
# Kill it as soon as there is a checkpoint.

program = start("checkpoints")
while not list(folder.glob("checkpoints/*/*")) and program.poll() is None:
    time.sleep(0.05)
time.sleep(0.2)
os.kill(program.pid, signal.SIGKILL)
program.communicate()
print("the program ended with", program.returncode)

# %%
# Run it again, and once more in another folder without being disturbed.

began = time.perf_counter()
resumed = json.loads(start("checkpoints").communicate()[0])
print(f"again: {len(resumed)} epochs, {time.perf_counter() - began:.1f} s with the imports")
undisturbed = json.loads(start("another").communicate()[0])
print("the same losses, bit for bit:", resumed == undisturbed)

# %%

figure, ax = plt.subplots(layout="constrained")
ax.plot(undisturbed, linewidth=5, color="lightgrey", label="not disturbed")
ax.plot(resumed, color="#d55e00", label="killed and resumed")
ax.set(xlabel="Epoch", ylabel="Loss", yscale="log")
ax.legend()

plt.show()
