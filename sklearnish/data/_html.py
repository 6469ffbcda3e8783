"""What notebooks show: tables and sentences, in the notebook's own look, light or dark."""

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def as_html(*parts: "str | pd.DataFrame") -> str:
    """Write paragraphs and tables below each other; names and values are text, never HTML.

    They have no colours of their own, and the classes of pandas, so that they look as other
    DataFrames do where they are shown.
    """
    shown = [_paragraph(part) if isinstance(part, str) else _table(part) for part in parts]
    return f"<div>{''.join(shown)}</div>"


def _paragraph(text: str) -> str:
    """Write lines of text."""
    return f"<p>{escape(text).replace(chr(10), '<br>')}</p>"


def _table(frame: "pd.DataFrame") -> str:
    """Write a table that can be scrolled if it is wider than the page."""
    html = frame.to_html(border=0, sparsify=False)
    return f'<div style="overflow-x: auto">{html}</div>'
