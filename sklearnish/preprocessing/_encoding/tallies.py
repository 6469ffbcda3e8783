"""What is counted of each column while all rows pass by once, and what it becomes then."""

import re
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.preprocessing._encoding.category import CategoryColumn, category_column
from sklearnish.preprocessing._encoding.counts import Counter, Counts, counted
from sklearnish.preprocessing._encoding.date import CYCLES, DateColumn, fields, split
from sklearnish.preprocessing._encoding.lists import ListColumn, items, list_column
from sklearnish.preprocessing._encoding.number import NumberColumn, number_column
from sklearnish.preprocessing._encoding.text import TextColumn
from sklearnish.preprocessing._encoding.values import (
    Floats,
    as_dates,
    comparable,
    in_zone,
    numbers,
    zone_of,
)

Mask = npt.NDArray[np.bool_]
Range = tuple[float, float]
Column = NumberColumn | CategoryColumn | DateColumn | TextColumn | ListColumn
"""What is learned of a column; files of saved models hold them."""

_MANY = 2**16
"""Distinct values that are counted in all rows; where there are more, those of the sample are."""

_FEW = 20
"""Distinct texts that are categories though few come twice."""

_NAMES_OF_IDS = re.compile(
    r"unnamed: ?\d+|index|idx|row|row[ _]?(?:number|num|nr|no)|(?:.*[^a-z])?(?:id|uid|rowid)", re.I
)
_CAMEL_ID = re.compile(r".*[a-z0-9](?:Id|ID)")
"""Names of columns whose numbers tell rows apart, such as "id", "user_id", "PassengerId"."""

_NOTHING = (np.inf, -np.inf)


@dataclass(frozen=True)
class Options:
    """The parameters of a TableEncoder that columns need."""

    max_categories: int
    max_codes: int
    text_features: int


class Tally(ABC):
    """Counts one column, chunk by chunk.

    Nothing that it learns depends on the order of rows and chunks.

    Parameters
    ----------
    kind : str or None
        What the user says that it is.
    name : str
        Name of the column.
    """

    def __init__(self, kind: str | None, options: Options, name: str = "") -> None:
        self.kind, self.options, self.name = kind, options, name
        self.n_rows = self.n_missing = 0

    @abstractmethod
    def add(self, column: Any, chosen: Mask) -> None:
        """Take in some rows; those that are chosen belong to the sample."""

    @abstractmethod
    def finish(self) -> Column | str:
        """Return what the column becomes, or why it is left out."""

    def _count(self, no_value: Mask) -> None:
        """Count rows and gaps."""
        self.n_rows += len(no_value)
        self.n_missing += int(no_value.sum())

    @property
    def gaps(self) -> bool:
        """Whether values are missing."""
        return self.n_missing > 0

    def _nothing_in_it(self, counts: Counts | None) -> str:
        """Say why nothing can be learned from a column, "" if something can."""
        if self.n_rows == self.n_missing:
            return "all values are missing"
        one = counts is not None and len(counts[0]) == 1
        return "one value in all rows" if one and self.kind is None and not self.gaps else ""

    def _category(self, counts: Counts, family: str) -> CategoryColumn:
        """Make categories of values that were counted."""
        most = self.options.max_categories
        return category_column(counts, most=most, gaps=self.gaps, family=family)


class NumberTally(Tally):
    """Numbers, times and durations."""

    def __init__(self, kind: str | None, options: Options, name: str = "") -> None:
        super().__init__(kind, options, name)
        most = _MANY if kind == "category" else max(2, options.max_codes)
        self._counter, self._values = Counter(most), [np.empty(0)]
        self._whole = True

    def add(self, column: Any, chosen: Mask) -> None:
        """Take in some rows."""
        values = numbers(column)
        no_value = np.isnan(values)
        self._count(no_value)
        self._values.append(values[chosen & ~no_value])
        self._whole = self._whole and bool((no_value | (values == np.rint(values))).all())
        if not self._counter.too_many:
            self._counter.add(comparable(column).drop_null())

    def finish(self) -> Column | str:
        """Return what the column becomes."""
        counts, sample = self._counter.counts(), np.concatenate(self._values)
        if reason := self._nothing_in_it(counts):
            return reason
        two = counts is not None and len(counts[0]) <= 2
        if self.kind == "category" or (self.kind is None and two):
            return self._category(counts or _counted(sample), "number")
        if self.kind is None and self._are_ids(sample):
            return "whole numbers that are all different, named as ids are"
        few = counts is not None and self._whole and len(counts[0]) <= self.options.max_codes
        levels = tuple(sorted(counts[0].to_pylist())) if counts is not None and few else ()
        return number_column(sample, gaps=self.gaps, levels=levels)

    def _are_ids(self, sample: Floats) -> bool:
        """Say whether the name is that of ids, and no whole number comes twice in the sample.

        Values alone do not tell ids from ages, ranks or times.
        """
        named = _NAMES_OF_IDS.fullmatch(self.name) or _CAMEL_ID.fullmatch(self.name)
        return bool(named) and self._whole and len(np.unique(sample)) == len(sample)


class TextTally(Tally):
    """Text."""

    def __init__(self, kind: str | None, options: Options, name: str = "") -> None:
        super().__init__(kind, options, name)
        self._all, self._sample = Counter(_MANY), Counter(2**18)
        self._spaces = self._sampled = 0

    def add(self, column: Any, chosen: Mask) -> None:
        """Take in some rows."""
        self._count(column.is_null().to_numpy(zero_copy_only=False))
        self._all.add(column.drop_null())
        values, counts = counted(column.filter(pa.array(chosen)).drop_null())
        self._sample.take_in(values, counts)
        spaces = pc.count_substring(pc.utf8_trim_whitespace(values), " ")
        self._spaces += pc.sum(pc.multiply(spaces, counts)).as_py() or 0
        self._sampled += pc.sum(counts).as_py() or 0

    def finish(self) -> Column | str:
        """Return what the column becomes."""
        counts = self._all.counts() or self._sample.counts()
        if reason := self._nothing_in_it(counts):
            return reason
        if self.kind in (None, "date") and (dates := self._dates(counts)):
            return dates
        kind = self.kind or self._found(counts)
        if kind == "date":
            raise ValueError(
                f"kinds={{{self.name!r}: 'date'}}, but the column holds text that is not always "
                "YYYY-MM-DD or YYYY-MM-DD HH:MM:SS. Make dates of it, as by pd.to_datetime."
            )
        if kind == "id":
            return f"text that is another in most rows, {_looks(counts)}"
        if kind == "category":
            if counts is None:
                raise ValueError("its distinct texts come to more than 64 MiB.")
            return self._category(counts, "text")
        return TextColumn(self.options.text_features, self.gaps)

    def _dates(self, counts: Counts | None) -> Column | str | None:
        """Return what dates become, if all texts that were counted are some."""
        sample = self._sample.counts()
        if not (counts and sample and len(sample[0])) or as_dates(counts[0]) is None:
            return None
        tally = DateTally(self.kind, self.options, self.name)
        dates = as_dates(sample[0]).take(pa.array(np.repeat(np.arange(len(sample[0])), sample[1])))
        tally.add(dates, np.ones(len(dates), bool))
        tally.n_rows, tally.n_missing = self.n_rows, self.n_missing
        return tally.finish()

    def _found(self, counts: Counts | None) -> str:
        """Say what text is: values that come again are categories; others are ids or free text."""
        if counts is not None and len(counts[0]) <= max(_FEW, int(counts[1].sum()) // 2):
            return "category"
        return "text" if self._spaces >= self._sampled else "id"


class DateTally(Tally):
    """Dates and timestamps."""

    def __init__(self, kind: str | None, options: Options, name: str = "") -> None:
        super().__init__(kind, options, name)
        self._counter, self._values = Counter(1), [np.empty(0)]
        self._ranges = dict.fromkeys(("year", *CYCLES), _NOTHING)
        self._zone = ""

    def add(self, column: Any, chosen: Mask) -> None:
        """Take in some rows."""
        self._zone = self._zone or zone_of(column.type)
        seconds = numbers(in_zone(column, self._zone))
        no_value = np.isnan(seconds)
        self._count(no_value)
        self._values.append(seconds[chosen & ~no_value])
        seconds = seconds[~no_value]
        self._counter.add(pa.array(seconds))
        days, minutes = split(seconds)
        for field, values in (fields(np.unique(days)) | {"hour": minutes}).items():
            self._ranges[field] = _widened(self._ranges[field], values)

    def finish(self) -> Column | str:
        """Return what the column becomes."""
        if reason := self._nothing_in_it(self._counter.counts()):
            return reason
        sample = np.concatenate(self._values)
        elapsed = number_column(sample, gaps=self.gaps)
        if self.kind == "number":
            return DateColumn(elapsed, None, (), self._zone)
        year = None
        if _varies(self._ranges["year"]):
            year = number_column(fields(split(sample)[0])["year"], gaps=False)
        cycles = tuple(c for c in CYCLES if _varies(self._ranges[c]))
        return DateColumn(elapsed, year, cycles, self._zone)


class ListTally(Tally):
    """Lists of one length."""

    def __init__(self, kind: str | None, options: Options, name: str = "") -> None:
        super().__init__(kind, options, name)
        self._values: list[Floats] = []

    def add(self, column: Any, chosen: Mask) -> None:
        """Take in some rows."""
        values = items(column)
        no_value = np.isnan(values)
        self._count(np.asarray(no_value.any(1)))
        self._values.append(values[chosen])

    def finish(self) -> Column | str:
        """Return what the column becomes."""
        sample = np.concatenate(self._values)
        if np.isnan(sample).all():
            return "all values are missing"
        return list_column(sample, gaps=self.gaps)


def _looks(counts: Counts | None) -> str:
    """Say what texts look like that come once."""
    with suppress(pa.ArrowInvalid):
        if counts is not None and counts[0].cast(pa.float64()):
            return "and looks like numbers: convert it if they are"
    return "as ids are"


def _widened(range_: Range, values: Any) -> Range:
    """Take values into the range of those before; NaN is none."""
    if not len(values):
        return range_
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    return float(np.fmin(range_[0], low)), float(np.fmax(range_[1], high))


def _varies(range_: Range) -> bool:
    """Say whether values differ."""
    return range_[0] < range_[1]


def _counted(values: Floats) -> Counts:
    """Count the values of a sample; the most frequent first."""
    distinct, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return pa.array(distinct[order]), counts[order]
