"""The Python blocks of the README and the tutorial run, top to bottom; the API page is whole."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearnish as sn

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)

# What the README's reader is supposed to have: files, a table, and a torch Dataset.
README_SETUP = """
from pathlib import Path
import numpy as np, pandas as pd, torch
rng = np.random.default_rng(0)
features = [f"x{i}" for i in range(4)]
df = pd.DataFrame(rng.normal(size=(3000, 4)), columns=features)
df["label"] = np.where(df.x0 > 0, "yes", "no")
for folder in ("train", "test"):
    Path(folder).mkdir()
    for part in range(3):
        df[part * 1000 : (part + 1) * 1000].to_parquet(f"{folder}/{part}.parquet")
my_torch_dataset = torch.utils.data.TensorDataset(
    torch.tensor(df[features].to_numpy(), dtype=torch.float32), torch.tensor(df.x0.to_numpy() > 0)
)
"""


def _blocks(path: str) -> str:
    return "\n".join(BLOCK.findall((ROOT / path).read_text()))


@pytest.mark.parametrize(("path", "setup"), [("README.md", README_SETUP), ("docs/tutorial.md", "")])
def test_python_blocks_run(path, setup, tmp_path):
    code = _blocks(path)
    assert code, f"{path} has no ```python block"
    script = tmp_path / "page.py"
    script.write_text(setup + code)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_the_api_page_lists_every_public_name():
    listed = re.findall(r"^   ([\w.]+)$", (ROOT / "docs/api.rst").read_text(), re.MULTILINE)
    public = {name for name in sn.__all__ if name != "plotting"}
    public |= {f"plotting.{name}" for name in sn.plotting.__all__}
    assert sorted(listed) == sorted(public)
