"""What a benchmark found, as Markdown, and its place in the page."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bar:
    """A promise and what was measured; `found` is the number that is held against it."""

    text: str
    found: float
    shown: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        below = self.at_most is None or self.found <= self.at_most
        return below and (self.at_least is None or self.found >= self.at_least)

    def __str__(self) -> str:
        limit = f"<= {self.at_most:g}" if self.at_least is None else f">= {self.at_least:g}"
        return f"- {'Met' if self.met else '**Missed**'}: {self.text} {limit}; found {self.shown}"


@dataclass
class Result:
    """What a benchmark found."""

    work: str
    tables: list[str] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def table(header: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> str:
    lines = [header, ["---"] * len(header), *rows]
    grid = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
    return f"{title}\n\n{grid}" if title else grid


def render(result: Result, where: str) -> str:
    bars = ["\n".join(fill(str(bar), "  ") for bar in result.bars)] if result.bars else []
    notes = [*result.notes, f"Measured by {where}"]
    return "\n\n".join([fill(result.work), *result.tables, *bars, *map(fill, notes)])


def fill(text: str, indent: str = "") -> str:
    """Break the lines of a paragraph or an item of a list."""
    return textwrap.fill(
        text, 110, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def replace_section(page: str, name: str, section: str) -> str:
    """Put a section between its two markers."""
    opening, closing = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, found, rest = page.partition(opening)
    _, closed, after = rest.partition(closing)
    if not found or not closed:
        raise ValueError(f"The page has no place for {name}: it needs {opening} and {closing}.")
    return f"{before}{opening}\n\n{section}\n\n{closing}{after}"
