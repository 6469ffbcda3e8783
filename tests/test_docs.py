"""Python blocks of README and pages run; the API page is whole; no page has long lines."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearnish as sn
from sklearnish import modules

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _blocks(path: str) -> str:
    return "\n".join(BLOCK.findall((ROOT / path).read_text()))


QUICK = ("README.md", "docs/index.md", "docs/sources.md")
LONG = (
    *("tables", "images", "columns", "pictures", "callbacks", "default_modules", "deployment"),
    *("processes", "clusters"),
)
PAGES_WITH_CODE = [
    *QUICK,
    *(pytest.param(f"docs/{name}.md", marks=pytest.mark.slow) for name in LONG),
]


@pytest.mark.parametrize("path", PAGES_WITH_CODE)
def test_python_blocks_run(path, tmp_path):
    code = _blocks(path)
    assert code, f"{path} has no ```python block"
    script = tmp_path / "page.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_the_api_page_lists_every_public_name():
    listed = re.findall(r"^   ([\w.]+)$", (ROOT / "docs/api.rst").read_text(), re.MULTILINE)
    packages = {name: getattr(sn, name) for name in ("inspection", "plotting", "preprocessing")}
    public = set(sn.__all__) - set(packages)
    public |= {f"{name}.{member}" for name in packages for member in packages[name].__all__}
    assert sorted(name for name in listed if not name.startswith("modules.")) == sorted(public)


def test_the_api_page_lists_the_modules_that_estimators_train():
    listed = re.findall(r"^   modules\.(\w+)$", (ROOT / "docs/api.rst").read_text(), re.MULTILINE)
    assert set(listed) <= set(modules.__all__)
    trained = {"MLP", "PlainMLP", "TableModule", "ImageCNN", "ImageModule", "Autoencoder"}
    assert trained <= set(listed)


PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_of_a_page_is_long_outside_of_tables(page):
    lines = page.read_text().splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tests_that_a_page_names_are_there(page):
    named = set(re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", page.read_text()))
    gone = {path for path, _ in named if not (ROOT / path).exists()}
    assert gone == set()
    assert [(p, name) for p, name in named if f"def {name}" not in (ROOT / p).read_text()] == []


@pytest.mark.slow
def test_the_pictures_of_the_pages_can_be_drawn_again(tmp_path):
    script = str(ROOT / "docs/draw_pictures.py")
    done = subprocess.run(
        [sys.executable, script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {path.name for path in (ROOT / "docs/_static").glob("*.png")}


def test_the_pictures_of_the_pages_are_small():
    pictures = {path.name: path.stat().st_size for path in (ROOT / "docs/_static").glob("*.png")}
    assert len(pictures) <= 4
    assert max(pictures.values()) < 60_000
    pages = "".join(page.read_text() for page in PAGES)
    assert [name for name in pictures if f"_static/{name}" not in pages] == []
