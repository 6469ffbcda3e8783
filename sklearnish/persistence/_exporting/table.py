"""What a TableEncoder makes of columns, in operations of torch."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor, nn

from sklearnish.persistence._exporting.calendar import SECONDS, WAVES, YEAR, calendar
from sklearnish.preprocessing import (
    CategoryColumn,
    DateColumn,
    ListColumn,
    NumberColumn,
    TableEncoder,
    TextColumn,
)

Array = npt.NDArray[Any]
Block = tuple[Tensor, int]
"""Encoded columns, shape (n_rows, n), and the number of codes if they are codes, else 0."""

_LARGEST = torch.finfo(torch.float32).max


class Table(nn.Module):
    """Encodes a dict of columns.

    Attributes
    ----------
    columns : list of column
        What is done to each column, and what it takes.
    """

    def __init__(self, encoder: TableEncoder) -> None:
        super().__init__()
        self.columns = [_column(name, column) for name, column in encoder.columns_.items()]
        self.one_hot = encoder.one_hot
        lines = [line for column in self.columns for line in column.lines]
        self.lines = Lines(lines) if lines else None

    def forward(self, X: dict[str, Tensor]) -> Tensor:
        """Encode: shape (n_rows, n_encoded), float32."""
        X = X | self._dates(X)
        columns = [(column, X[column.name]) for column in self.columns]
        ranked = [values for column, x in columns for values in column.ranked(x)]
        scores: Iterator[Tensor] = iter(())
        if self.lines is not None:
            scores = iter(self.lines(torch.stack(ranked, 1)).split(1, 1))
        blocks = [block for column, x in columns for block in column.encode(x, scores)]
        return torch.cat([self._spread(*block) for block in blocks], 1)

    def _dates(self, X: dict[str, Tensor]) -> dict[str, Tensor]:
        """Find out of all dates at once where in the calendar they are."""
        names = [column.name for column in self.columns if isinstance(column, Date)]
        if not names:
            return {}
        found = calendar(torch.stack([X[name] for name in names], 1))
        return dict(zip(names, found.unbind(1), strict=True))

    def _spread(self, values: Tensor, n_codes: int) -> Tensor:
        """Spread codes over columns of zeros and ones, if that is wanted."""
        if n_codes and self.one_hot:
            values = values == torch.arange(n_codes)
        return values.float()


class Lines(nn.Module):
    """Piecewise linear functions of several columns, all at once.

    Parameters
    ----------
    lines : sequence of NumberColumn
        Knots and scores of each column.
    """

    knots: Tensor
    slopes: Tensor
    heights: Tensor
    starts: Tensor
    ends: Tensor

    def __init__(self, lines: Sequence[NumberColumn]) -> None:
        super().__init__()
        n_bits = max(len(line.knots) for line in lines).bit_length()
        self.steps = [2**i for i in reversed(range(n_bits))]
        rows = [_line(line, 2**n_bits) for line in lines]
        for name, of_each in zip(
            ("knots", "slopes", "heights"), zip(*rows, strict=True), strict=True
        ):
            self.register_buffer(name, torch.cat(of_each))
        self.register_buffer("starts", torch.arange(len(lines)) * 2**n_bits)
        ends = [[float(line.knots[0]), float(line.knots[-1])] for line in lines]
        self.register_buffer("ends", torch.tensor(ends, dtype=torch.float64).T.contiguous())

    def forward(self, values: Tensor) -> Tensor:
        """Return the function of each column: shape (n_rows, n_columns); of NaN, any number."""
        first, last = self.ends[0], self.ends[1]
        x = torch.where(values.isnan(), first, values)
        x = torch.minimum(torch.maximum(x, first), last)
        place = torch.zeros_like(x, dtype=torch.int64) + self.starts
        for step in self.steps:
            place = place + step * (self.knots[place + (step - 1)] <= x)
        place = place - 1  # of the last knot that is not above
        found = (x - self.knots[place]) * self.slopes[place] + self.heights[place]
        return found.float()


def _line(line: NumberColumn, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return knots, slopes and heights, padded by knots that are never reached."""
    knots, heights = torch.tensor(line.knots), torch.tensor(line.scores)
    largest = torch.finfo(torch.float64).max
    slopes = (heights.diff() / knots.diff()).clamp(max=largest)
    pad = length - len(knots)
    return (
        nn.functional.pad(knots, (0, pad), value=torch.inf),
        nn.functional.pad(slopes, (0, pad + 1)),
        nn.functional.pad(heights, (0, pad)),
    )


class Number:
    """A column of numbers; NaN where there is none.

    Attributes
    ----------
    name : str
        Its name.
    dtype : str
        Type of its values in a graph.
    shape : tuple of int
        Shape of one value.
    about : dict
        What else is to be known of its values.
    lines : list of NumberColumn
        Functions that make scores of what `ranked` returns.
    """

    dtype = "float64"
    shape: tuple[int, ...] = ()

    def __init__(self, name: str, column: NumberColumn) -> None:
        self.name, self.column, self.lines = name, column, [column]
        self.about = {"kind": "number", "missing": "NaN"}

    def ranked(self, x: Tensor) -> list[Tensor]:
        """Return the values of which scores are made."""
        return [x]

    def encode(self, x: Tensor, scores: Iterator[Tensor]) -> Iterator[Block]:
        """Yield the score, whether there is a value, and the code."""
        no_value = x.isnan().unsqueeze(1)
        yield next(scores).masked_fill(no_value, 0.0), 0
        if self.column.gaps:
            yield no_value, 0
        if self.column.levels:
            yield _codes(x, self.column.levels), len(self.column.levels) + 1

    def made_up(self) -> tuple[Array, Any]:
        """Return three values to try a file with, and the column that holds them."""
        knots = self.column.knots
        return _with_gap([knots[0], (knots[0] + knots[-1]) / 2])


class Category:
    """A column of few numbers, NaN where there is none; or of codes of few texts."""

    shape: tuple[int, ...] = ()
    lines: tuple[NumberColumn, ...] = ()

    def __init__(self, name: str, column: CategoryColumn) -> None:
        self.name, self.column = name, column
        self.is_text = column.family == "text"
        self.dtype = "int64" if self.is_text else "float64"
        self.n_codes = len(column.levels) + 1 + column.gaps
        missing = self.n_codes - 1 if column.gaps else 0
        self.about = {"kind": "category", "levels": list(column.levels), "unknown": 0}
        self.about |= {"missing": missing} if self.is_text else {"missing": "NaN"}

    def ranked(self, x: Tensor) -> list[Tensor]:
        """Return no values: there are no scores."""
        return []

    def encode(self, x: Tensor, scores: Iterator[Tensor]) -> Iterator[Block]:
        """Yield the code."""
        if self.is_text:
            codes = x.where((x >= 0) & (x < self.n_codes), 0).unsqueeze(1)
        else:
            codes = _codes(x, self.column.levels)
            if self.column.gaps:
                codes = codes.masked_fill(x.isnan().unsqueeze(1), self.n_codes - 1)
        yield codes, self.n_codes

    @property
    def is_ambiguous(self) -> bool:
        """Say whether text alone cannot tell what is missing from the level "", of another code."""
        return self.is_text and self.column.gaps and "" in self.column.levels

    @property
    def codes(self) -> dict[str, int]:
        """Return the code of each text; empty text is what is missing, unless it is a level."""
        missing = {"": self.n_codes - 1} if self.column.gaps else {}
        return missing | {level: i for i, level in enumerate(self.column.levels, 1)}

    def made_up(self) -> tuple[Array, Any]:
        """Return three values to try a file with, and the column that holds them."""
        first, *_, last = (*self.column.levels, self.column.levels[-1])
        if not self.is_text:
            given, _ = _with_gap([float(first), float(last)])
            return given, pa.array([None, first, last])
        empty = "" if "" in self.column.levels else None
        return np.array(["", first, f"{last}?"], object), pa.array([empty, first, f"{last}?"])


class Date:
    """A column of seconds since 1970 on local clocks; NaN where there is no date."""

    dtype = "float64"
    shape: tuple[int, ...] = ()

    def __init__(self, name: str, column: DateColumn) -> None:
        self.name, self.column = name, column
        self.lines = [column.elapsed, *([] if column.year is None else [column.year])]
        unit = "seconds since 1970-01-01T00:00:00"
        self.about = {"kind": "date", "unit": unit, "time_zone": column.zone, "missing": "NaN"}

    def ranked(self, x: Tensor) -> list[Tensor]:
        """Return the values of which scores are made, of what the calendar says of dates."""
        places = (SECONDS, YEAR) if self.column.year else (SECONDS,)
        return [x[:, place] for place in places]

    def encode(self, x: Tensor, scores: Iterator[Tensor]) -> Iterator[Block]:
        """Yield scores, whether there is a date, and waves; zeros where there is none."""
        no_value = x[:, :1].isnan()
        yield next(scores).masked_fill(no_value, 0.0), 0
        if self.column.elapsed.gaps:
            yield no_value, 0
        if self.column.year:
            yield next(scores).masked_fill(no_value, 0.0), 0
        if places := [place for cycle in self.column.cycles for place in WAVES[cycle]]:
            yield x[:, places].masked_fill(no_value, 0.0), 0

    def made_up(self) -> tuple[Array, Any]:
        """Return three values to try a file with, and the column that holds them."""
        knots = np.floor(self.column.elapsed.knots)
        given, seconds = _with_gap([knots[0], knots[-1]])
        dates = seconds.cast(pa.int64()).cast(pa.timestamp("s"))
        if self.column.zone:
            dates = dates.cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("s", self.column.zone))
            given[1:] = pc.local_timestamp(dates[1:]).cast(pa.int64())
        return given, dates


class List:
    """A column of lists of one length; NaN where a value is missing."""

    dtype = "float64"
    lines: tuple[NumberColumn, ...] = ()

    def __init__(self, name: str, column: ListColumn) -> None:
        self.name, self.column, self.shape = name, column, column.mean.shape
        self.about = {"kind": "list", "missing": "NaN"}

    def ranked(self, x: Tensor) -> list[Tensor]:
        """Return no values: there are no scores."""
        return []

    def encode(self, x: Tensor, scores: Iterator[Tensor]) -> Iterator[Block]:
        """Yield whether a value is missing, and the standardised values."""
        no_value = ~(x.abs() <= _LARGEST)
        if self.column.gaps:
            yield no_value.any(1, keepdim=True), 0
        mean, scale = torch.tensor(self.column.mean), torch.tensor(self.column.scale)
        scaled = ((x - mean) / scale).clamp(-_LARGEST, _LARGEST)
        yield scaled.masked_fill(no_value, 0.0), 0

    def made_up(self) -> tuple[Array, Any]:
        """Return three values to try a file with, and the column that holds them."""
        steps = np.arange(-1.0, 2.0).reshape(3, 1)
        given = self.column.mean + steps * self.column.scale
        given[0, 0] = np.nan
        return given, pa.FixedSizeListArray.from_arrays(given.ravel(), self.shape[0])


TableColumn = Number | Category | Date | List


def _with_gap(values: list[float]) -> tuple[Array, Any]:
    """Put a value that is missing before others."""
    return np.array([np.nan, *values]), pa.array([None, *values], pa.float64())


def _column(name: str, column: Any) -> TableColumn:
    """Choose what is done to a column.

    Raises
    ------
    ValueError
        If no graph can do it.
    """
    if isinstance(column, TextColumn):
        raise ValueError(
            f"The column {name!r} is free text, whose words are hashed, and a graph has no "
            f"operation for that. Fit without it, by kinds={{{name!r}: 'drop'}}; or, if it has few "
            f"values, as kinds={{{name!r}: 'category'}}."
        )
    if isinstance(column, NumberColumn):
        _check_exact(name, column.levels)
        return Number(name, column)
    if isinstance(column, DateColumn):
        return Date(name, column)
    if isinstance(column, ListColumn):
        return List(name, column)
    _check_exact(name, column.levels)
    return Category(name, column)


def _check_exact(name: str, levels: Sequence[Any]) -> None:
    """Refuse whole numbers that float64 would round."""
    for level in levels:
        if isinstance(level, int) and int(float(level)) != level:
            raise ValueError(
                f"The column {name!r} has whole numbers such as {level}, which float64, in which "
                "the file takes numbers, cannot hold. Make text of them before fit."
            )


def _codes(x: Tensor, levels: Sequence[Any]) -> Tensor:
    """Return 1 for the first level and so on, 0 for anything else: shape (n_rows, 1)."""
    known = torch.tensor([float(level) for level in levels], dtype=torch.float64)
    places = torch.arange(1, len(levels) + 1)
    return ((x.unsqueeze(1) == known) * places).sum(1, keepdim=True)
