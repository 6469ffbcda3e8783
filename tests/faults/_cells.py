"""Cells of the fault matrix: what was done where, what should happen and what did.

A test takes the fixture ``cell``, calls it with the fault, the place and what is expected, and
writes what it found into what it got. Cells that are known not to hold are listed in ``OPEN`` of
the test file, with the reason. ``python -m tests.faults`` makes the table.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

RECORD = "SKLEARNISH_FAULTS"
"""Environment variable: the file to which cells are added, one JSON object a line."""


@dataclass
class Cell:
    """One cell."""

    fault: str
    where: str
    expected: str
    found: str = ""
    test: str = ""
    outcome: str = field(default="open", kw_only=True)  # or "holds", "fails", "skipped"


def write(cells: list[Cell]) -> None:
    """Add cells to the record, if one is kept."""
    if path := os.environ.get(RECORD):
        with Path(path).open("a") as file:
            file.writelines(json.dumps(asdict(cell)) + "\n" for cell in cells)


def read(path: Path) -> list[Cell]:
    """Read the record."""
    return [Cell(**json.loads(line)) for line in path.read_text().splitlines()]


def table(cells: list[Cell]) -> str:
    """Lay cells out as a Markdown table; tests that say the same share a line."""
    lines = ["| fault | where | expected | what happened | |", "|---|---|---|---|---|"]
    for cell in cells:
        parts = (cell.fault, cell.where, cell.expected, cell.found, cell.outcome)
        lines.append("| " + " | ".join(" ".join(p.split()).replace("|", "/") for p in parts) + " |")
    return "\n".join(dict.fromkeys(lines))
