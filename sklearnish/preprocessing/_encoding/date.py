"""Dates: how much time has passed, the year, and where in the year, month, week and day it is."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.preprocessing._encoding.number import NumberColumn
from sklearnish.preprocessing._encoding.outputs import Output, missing
from sklearnish.preprocessing._encoding.values import DAY, Floats, in_zone, numbers

Days = npt.NDArray[np.int64]
Single = npt.NDArray[np.float32]

CYCLES = ("month", "day", "weekday", "hour")

_STEP, _MOST_DAYS = 2**10, 2**16
"""Days of which a calendar is a multiple, so that it serves many chunks, and its longest."""


@dataclass(frozen=True)
class DateColumn:
    """A column of dates or timestamps.

    Attributes
    ----------
    elapsed : NumberColumn
        Normal scores of the seconds.
    year : NumberColumn or None
        Those of the years, if there are several.
    cycles : tuple of str
        Those of "month", "day", "weekday" and "hour" that differ from row to row, in this order.
        Each becomes a sine and a cosine, so that December is next to January.
    zone : str
        The time zone whose clocks and calendar count, "" if the column has none.
    """

    elapsed: NumberColumn
    year: NumberColumn | None
    cycles: tuple[str, ...]
    zone: str

    kind = "date"

    @property
    def family(self) -> str:
        """Tell instants from dates without a time zone, which say less."""
        return "instant" if self.zone else "date"

    @property
    def n_outputs(self) -> int:
        """Count the columns that come out."""
        return self.elapsed.n_outputs + (self.year is not None) + 2 * len(self.cycles)

    def outputs(self, name: str) -> list[Output]:
        """Name the columns that come out."""
        year = [] if self.year is None else [Output(f"{name}:year", "number")]
        waves = [
            Output(f"{name}:{cycle}_{wave}", "indicator")
            for cycle in self.cycles
            for wave in ("sin", "cos")
        ]
        gaps = [missing(name)] if self.elapsed.gaps else []
        return [Output(name, "number"), *gaps, *year, *waves]

    def encode(self, column: Any, out: Single) -> None:
        """Write the columns that come out, one after the other."""
        seconds = numbers(in_zone(column, self.zone))
        no_value = np.isnan(seconds)
        gaps = bool(no_value.any())
        known = np.where(no_value, 0.0, seconds) if gaps else seconds
        days, minutes = split(known)
        places, calendar = _calendar_of(days)
        out[0] = self.elapsed.scores_of(known)
        rest = out[1 + self.elapsed.gaps :]
        if self.year is not None:
            rest[0], rest = self.year.scores_of(calendar["year"])[places], rest[1:]
        for i, cycle in enumerate(self.cycles):
            waves, at = (_CLOCK, minutes) if cycle == "hour" else (calendar[cycle], places)
            for wave, target in zip(waves, rest[2 * i : 2 * i + 2], strict=True):
                np.take(wave, at, out=target, mode="clip")  # which does not look at each place
        for row in out if gaps else ():
            np.putmask(row, no_value, 0.0)
        if self.elapsed.gaps:
            out[1] = no_value


def split(seconds: Floats) -> tuple[Days, Days]:
    """Return days since 1970, and minutes since midnight."""
    days = np.floor(seconds / DAY)
    minutes = (seconds - days * DAY) / 60
    return days.astype(np.int64), minutes.astype(np.int64)


def fields(days: Days) -> dict[str, Floats]:
    """Return the year of days, and which part of a year, of a month and of a week has passed."""
    dates = days.astype("datetime64[D]")
    years, months = dates.astype("datetime64[Y]"), dates.astype("datetime64[M]")
    return {
        "year": years.astype(np.int64) + 1970.0,
        "month": (dates - years).astype(np.int64) / 366.0,
        "day": (dates - months).astype(np.int64) / 31.0,
        "weekday": (days + 3) % 7 / 7.0,
    }


def _calendar_of(days: Days) -> tuple[Days, dict[str, Any]]:
    """Return where each day is in a calendar, and the calendar; days of far years are their own."""
    if not len(days):
        return days, _calendar(0, 1)
    start, stop = int(days.min()) // _STEP * _STEP, (int(days.max()) // _STEP + 1) * _STEP
    if stop - start > _MOST_DAYS:
        return np.arange(len(days)), _known_of(days)
    return days - start, _calendar(start, stop)


@lru_cache(maxsize=16)
def _calendar(start: int, stop: int) -> dict[str, Any]:
    """Return what is known of some days in a row."""
    return _known_of(np.arange(start, stop))


def _known_of(days: Days) -> dict[str, Any]:
    """Return the years of days, and the waves of their cycles."""
    found = fields(days)
    waves = {cycle: _waves(found[cycle]) for cycle in ("month", "day", "weekday")}
    return waves | {"year": found["year"]}


def _waves(phase: Floats) -> Single:
    """Return sine and cosine of parts of a cycle."""
    angle = 2 * np.pi * phase
    return np.stack([np.sin(angle), np.cos(angle)]).astype(np.float32)


_CLOCK = _waves(np.arange(1440) / 1440)
