"""The how-to pages and the concepts: their blocks run, page by page, in one process."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted([*(DOCS / "howto").glob("*.md"), *DOCS.glob("concepts.md")])
BLOCK = re.compile(r"^(?:<!-- needs ([\w ]+) -->\n)?```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
"""A block, and the packages that are not installed for the tests but that it needs."""

RUN = """
import os, pathlib, runpy, sys
for page in sys.argv[1:]:
    pathlib.Path(page).mkdir()
    os.chdir(page)
    runpy.run_path(f"../{page}.py", run_name="__main__")
    os.chdir("..")
"""


def blocks(page):
    """List the blocks of a page: the packages that each needs, and its code."""
    return [(needs.split(), code) for needs, code in BLOCK.findall(page.read_text())]


def run(folder, pages, *, all_blocks):
    """Run the blocks of some pages in one process, each page in a folder of its own."""
    for page in pages:
        code = [code for needs, code in blocks(page) if all_blocks or not needs]
        (folder / f"{page.stem}.py").write_text("\n".join(code))
    names = [page.stem for page in pages]
    return subprocess.run(
        [sys.executable, "-c", RUN, *names],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_blocks_run(tmp_path):
    done = run(tmp_path, [page for page in PAGES if blocks(page)], all_blocks=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


OTHERS = [page for page in PAGES if any(needs for needs, _ in blocks(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.stem)
def test_blocks_of_other_libraries_run_where_these_are_installed(page, tmp_path):
    needed = {name for needs, _ in blocks(page) for name in needs}
    if missing := sorted(name for name in needed if not importlib.util.find_spec(name)):
        pytest.skip(f"{', '.join(missing)} not installed")
    done = run(tmp_path, [page], all_blocks=True)
    assert done.returncode == 0, done.stderr


def test_how_to_pages_are_short():
    words = {
        page.stem: len(BLOCK.sub("", page.read_text()).split())
        for page in (DOCS / "howto").glob("*.md")
    }
    assert {name: n for name, n in words.items() if n > 400} == {}


def test_every_how_to_page_is_on_the_index():
    index = (DOCS / "howto/index.md").read_text()
    named = {page.stem for page in (DOCS / "howto").glob("*.md")} - {"index"}
    assert [name for name in sorted(named) if f"\n{name}\n" not in index] == []


def test_the_sentences_of_a_report_are_those_that_it_says():
    page = (DOCS / "howto/gpu_idle.md").read_text()
    said = (DOCS.parent / "sklearnish/data/_loading/report.py").read_text()
    said = re.sub(r'"\s*f?"', "", said)  # strings over several lines
    told = re.findall(r'^\| "(.*?)" \|', page, re.MULTILINE)
    parts = [part for line in told for part in re.split(r"[\d.]*\d|\.\.\.", line)]
    parts = [part.removesuffix(" s") for part in map(str.strip, parts)]
    assert len(told) == 9
    assert [part for part in parts if len(part) > 5 and part not in said] == []


def test_drawings_are_those_of_their_script(tmp_path):
    script = [sys.executable, str(DOCS / "draw_concepts.py"), str(tmp_path)]
    subprocess.run(script, check=True)
    drawn = {path.name: path.read_text() for path in tmp_path.glob("*.svg")}
    kept = {path.name: path.read_text() for path in (DOCS / "_static/concepts").glob("*.svg")}
    assert drawn == kept


def test_every_drawing_is_shown():
    drawings = {path.name for path in (DOCS / "_static/concepts").glob("*.svg")}
    pages = "".join(page.read_text() for page in PAGES)
    assert drawings == set(re.findall(r"_static/concepts/([\w-]+\.svg)", pages))


SIDE = re.compile(r"^:::\{grid-item\}\n.*?^```python\n(.*?)^:::\n", re.DOTALL | re.MULTILINE)


def test_code_side_by_side_fits_half_a_page():
    lines = [
        line
        for page in PAGES
        for side in SIDE.findall(page.read_text())
        for line in side.splitlines()
    ]
    assert len(lines) > 100
    assert [line for line in lines if len(line) > 52] == []
