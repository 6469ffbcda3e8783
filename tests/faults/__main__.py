"""Run the fault matrix and print it cell by cell; ``--write`` puts it into docs/fault_matrix.md.

A section is a test file of this folder: its first line is the heading, its ``OPEN`` the cells
that do not hold.
"""

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults import _cells

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
PAGE = ROOT / "docs" / "fault_matrix.md"
HEAD = """# The fault matrix

`make faults ARGS=--write` writes this page. Each line is a fault, what has to
happen, and what happened; [Reliability](reliability.md) says what is promised."""


def main(argv: list[str]) -> int:
    """Run the tests, print the table, and fail if a test failed."""
    arguments = _parse(argv)
    names = arguments.names or sorted(p.stem[5:] for p in FOLDER.glob("test_*.py"))
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "cells"
        record.touch()
        if arguments.count:
            os.environ["SKLEARNISH_STREAMS"] = arguments.count
        code = _run_tests(names, record, quick=arguments.quick)
        cells = _cells.read(record)
    text = "\n\n".join(_section(name, cells) for name in names)
    print(f"\n{text}\n\n{_summary(cells)}")
    if arguments.write:
        PAGE.write_text(f"{HEAD}\n\n{text}\n\n{_summary(cells)}\n")
    return code


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", help='sections, such as "changed"; all by default')
    parser.add_argument("--quick", action="store_true", help="without the slow tests")
    parser.add_argument("--count", default="", help="streams of the stress run, 72 by default")
    parser.add_argument("--write", action="store_true", help=f"rewrite {PAGE.name}")
    return parser.parse_args(argv)


def _run_tests(names: list[str], record: Path, *, quick: bool) -> int:
    """Run the test files of some sections, which add their cells to the record."""
    files = [str(FOLDER / f"test_{name}.py") for name in names]
    marks = "not slow" if quick else "slow or not slow"
    command = [sys.executable, "-m", "pytest", "-q", "-m", marks, *files]
    environment = os.environ | {_cells.RECORD: str(record)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _section(name: str, cells: list[_cells.Cell]) -> str:
    """Make the table of one test file."""
    module = importlib.import_module(f"tests.faults.test_{name}")
    own = [cell for cell in cells if f"test_{name}.py" in cell.test]
    heading = (module.__doc__ or name).splitlines()[0].rstrip(".")
    return f"## {heading}\n\n{_cells.table([*own, *getattr(module, 'OPEN', [])])}"


def _summary(cells: list[_cells.Cell]) -> str:
    """Count the cells."""
    counts = {word: sum(c.outcome == word for c in cells) for word in ("holds", "fails", "skipped")}
    return f"{counts['holds']} cells hold, {counts['fails']} fail, {counts['skipped']} skipped."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
