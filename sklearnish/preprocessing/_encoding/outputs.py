"""The columns that come out, and what a model may take each of them for."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple


class Output(NamedTuple):
    """One column of the encoded matrix.

    Attributes
    ----------
    name : str
        Its name, made of that of the column which it comes from.
    role : str
        "number" (a normal score), "indicator" (a plain input) or "category" (codes).
    labels : tuple of str
        Of a category, the name of each code's own column.
    """

    name: str
    role: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableLayout:
    """Which columns of an encoded matrix hold what.

    Parameters
    ----------
    numbers : tuple of int
        Columns of normal scores.
    indicators : tuple of int
        Plain inputs: whether a value is missing, cycles of dates, hashed text, items of lists.
    categories : tuple of (int, int)
        Columns of codes, and the number of codes of each: 0 to one less than that.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearnish.preprocessing import TableEncoder
    >>> X = pd.DataFrame({"age": [31.5, 44.0, 27.2, 50.1], "job": ["cook", "pilot", "cook", None]})
    >>> TableEncoder(one_hot=False).fit(X).layout_
    TableLayout(numbers=(0,), indicators=(), categories=((1, 4),))
    """

    numbers: tuple[int, ...]
    indicators: tuple[int, ...]
    categories: tuple[tuple[int, int], ...]


def layout_of(outputs: Iterable[Output]) -> TableLayout:
    """Say where the outputs of each role are."""
    places = list(enumerate(outputs))
    return TableLayout(
        tuple(i for i, output in places if output.role == "number"),
        tuple(i for i, output in places if output.role == "indicator"),
        tuple((i, len(output.labels)) for i, output in places if output.role == "category"),
    )


def distinct(names: Iterable[str]) -> list[str]:
    """Write a number behind names that come again: the second "a" becomes "a:2"."""
    taken: dict[str, None] = {}
    for name in names:
        again = (f"{name}:{i}" for i in count(2))
        taken[name if name not in taken else next(n for n in again if n not in taken)] = None
    return list(taken)


def missing(name: str) -> Output:
    """Tell where a column has no value."""
    return Output(f"{name}:missing", "indicator")
