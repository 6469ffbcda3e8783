"""The calendar in operations of torch, on float64 alone: whole numbers are divided exactly there.

After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
https://howardhinnant.github.io/date_algorithms.html: a year begins in March, so that the leap day
is its last.
"""

import torch
from torch import Tensor

from sklearnish.preprocessing import CYCLES

_DAY = 86_400.0
_ERA = 146_097
"""Days of 400 years."""

_SINCE_MARCH = 719_468
"""Days from the first of March of the year 0 to 1970."""

SECONDS, YEAR, WAVES = 0, 1, {cycle: (2 + 2 * i, 3 + 2 * i) for i, cycle in enumerate(CYCLES)}
"""Where in the last axis of what `calendar` returns they are."""


def calendar(seconds: Tensor) -> Tensor:
    """Return seconds since 1970, years, and sine and cosine of each cycle, along a new last axis.

    Where seconds are NaN, the others are any numbers.
    """
    known = seconds.nan_to_num(0.0)
    days = (known / _DAY).floor()
    minutes = ((known - days * _DAY) / 60).floor()
    year, day_of_year, day_of_month = _fields(days)
    weekday = _rest(days + 3, 7)
    angles = (
        2
        * torch.pi
        * torch.stack([day_of_year / 366, day_of_month / 31, weekday / 7, minutes / 1440], -1)
    )
    waves = torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)
    return torch.cat([torch.stack([seconds, year], -1), waves], -1)


def _fields(days: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the year, and the days since it and since the month began."""
    days = days + _SINCE_MARCH
    rest = _rest(days, _ERA)
    of_era = _whole(rest - _whole(rest, 1_460) + _whole(rest, 36_524) - _whole(rest, _ERA - 1), 365)
    since_march = rest - (365 * of_era + _whole(of_era, 4) - _whole(of_era, 100))
    month = _whole(5 * since_march + 2, 153)  # 0 is March
    next_year = (month >= 10).double()
    year = of_era + 400 * _whole(days, _ERA) + next_year
    before_march = 59 + _is_leap(year)
    day_of_year = since_march + torch.where(next_year > 0, -306.0, before_march)
    return year, day_of_year, since_march - _whole(153 * month + 2, 5)


def _is_leap(year: Tensor) -> Tensor:
    """Return 1 for leap years, 0 for others."""
    by_4, by_100, by_400 = (_rest(year, n) == 0 for n in (4, 100, 400))
    return ((by_4 & ~by_100) | by_400).double()


def _whole(x: Tensor, by: int) -> Tensor:
    """Divide, and round down."""
    return (x / by).floor()


def _rest(x: Tensor, by: int) -> Tensor:
    """Return what is left when whole numbers are divided."""
    return x - _whole(x, by) * by
