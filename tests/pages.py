"""Tables of the documentation whose every cell a test finds again."""

from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def table(page, first):
    """Return the rows of the table whose head begins with a word: {first cell: the others}."""
    lines = (DOCS / page).read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("| ").split(" | "))
        rows[name] = cells
    return rows
