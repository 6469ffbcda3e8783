"""The calendar of exported tables is that of the encoder."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish.persistence._exporting.calendar import SECONDS, WAVES, YEAR, calendar
from sklearnish.preprocessing._encoding.date import fields, split

CENTURIES = st.integers(-(10**11), 3 * 10**11)  # the years -1199 to 11476


@settings(max_examples=30)
@given(st.lists(CENTURIES, min_size=1))
def test_years_and_waves_are_those_of_numpy_calendar(times):
    seconds = np.array(times, np.float64)
    found = calendar(torch.tensor(seconds)).numpy()
    days, minutes = split(seconds)
    parts = fields(days) | {"hour": minutes / 1440}
    assert (found[:, SECONDS] == seconds).all()
    assert (found[:, YEAR] == parts["year"]).all()
    for cycle, (sine, cosine) in WAVES.items():
        angle = 2 * np.pi * parts[cycle]
        np.testing.assert_allclose(found[:, sine], np.sin(angle), atol=1e-12)
        np.testing.assert_allclose(found[:, cosine], np.cos(angle), atol=1e-12)


def test_leap_days_and_ends_of_years():
    days = ["1899-12-31", "1900-02-28", "1900-03-01", "2000-02-29", "2023-12-31", "2024-12-31"]
    dates = np.array(days, "datetime64[s]").astype(np.float64)
    found = calendar(torch.tensor(dates + 86_399)).numpy()
    assert found[:, YEAR].tolist() == [1899, 1900, 1900, 2000, 2023, 2024]
    ends = np.array([365, 58, 59, 59, 364, 365]) - np.array([1, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(found[:, WAVES["month"][0]], np.sin(2 * np.pi * ends / 366))


def test_a_date_that_is_missing_stays_so_and_spoils_no_other():
    found = calendar(torch.tensor([[torch.nan, 0.0]], dtype=torch.float64))
    assert found.isnan().sum() == 1
    assert found[0, 0, SECONDS].isnan()
    assert found[0, 1, YEAR] == 1970
