"""What `import sklearnish` costs over `import torch, sklearn`."""

import subprocess
import sys

from tests.benchmarks._harness import PAIRS, Ratio
from tests.benchmarks._page import Bar, Result, table

REFERENCE = "import torch, sklearn"
TIMED = "import time; begun = time.perf_counter(); {}; print(time.perf_counter() - begun)"


def run(size: str) -> Result:
    theirs, ours = [], []
    for number in range((1 if size == "quick" else 2 * PAIRS) + 1):
        pair = _seconds(REFERENCE), _seconds(f"{REFERENCE}, sklearnish")
        if number:  # the first fills the page cache
            theirs.append(pair[0])
            ours.append(pair[1])
    # Only other work on the machine can add to an import: the least is the cost.
    added = min(ours) - min(theirs)
    rows = [_row(f"`{REFERENCE}`", theirs), _row(f"`{REFERENCE}, sklearnish`", ours)]
    return Result(
        f"New processes in turn, {len(ours)} pairs.",
        [table(["import", "least seconds", "most"], rows)],
        [Bar("seconds added by sklearnish", added, f"{added:.3f}", at_most=0.3)],
        [f"Ratio of the pairs: {Ratio.of(ours, theirs)}."],
    )


def _seconds(imports: str) -> float:
    command = [sys.executable, "-c", TIMED.format(imports)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _row(name: str, seconds: list[float]) -> list[str]:
    return [name, f"{min(seconds):.3f}", f"{max(seconds):.3f}"]
