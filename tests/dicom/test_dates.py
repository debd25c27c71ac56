"""Normalised dates, times and moments, and the bounds that a query sets."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medserver.dicom.dates import (
    Bounds,
    normalise_date,
    normalise_date_time,
    normalise_time,
    query_bounds,
    time_bounds,
)

DATES = st.dates(min_value=date(1000, 1, 1))


def _da(value: date) -> str:
    return value.strftime("%Y%m%d")


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("20260131", "20260131"),
        ("20260131 ", "20260131"),
        ("2026.01.31", "20260131"),
        ("20260231", "20260231"),
        ("", None),
        ("2026", None),
        ("202601", None),
        ("20261301", None),
        ("20260100", None),
        ("2026.0131", None),
        ("2026-01-31", None),
        ("２０２６０１３１", None),
        ("20260131x", None),
    ],
)
def test_normalise_date(text, normalised):
    assert normalise_date(text) == normalised


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("070907.0705", "070907.070500"),
        ("1010", "101000.000000"),
        ("10", "100000.000000"),
        ("235960", "235960.000000"),
        ("10:20:30.5", "102030.500000"),
        ("10:20", "102000.000000"),
        ("102030.", "102030.000000"),
        ("102030.123456789", "102030.123456"),
        ("101010 ", "101010.000000"),
        ("", None),
        ("021", None),
        ("2400", None),
        ("1060", None),
        ("102061", None),
        ("10:2030", None),
        ("1020.5", None),
        ("abc", None),
    ],
)
def test_normalise_time(text, normalised):
    assert normalise_time(text) == normalised


def test_a_time_of_reduced_precision_names_a_period():
    assert time_bounds("18") == ("180000.000000", "185959.999999")
    assert time_bounds("1830") == ("183000.000000", "183059.999999")
    assert time_bounds("183015") == ("183015.000000", "183015.999999")
    assert time_bounds("183015.25") == ("183015.250000", "183015.259999")
    assert time_bounds("183015.250000") == ("183015.250000", "183015.250000")


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("19980128103000.0000", "19980128103000.000000"),
        ("19980128073000-0300", "19980128103000.000000"),
        ("20260101003000+0100", "20251231233000.000000"),
        ("2026", "20260101000000.000000"),
        ("20260131235960", "20260131235960.000000"),
        ("09990101", "09990101000000.000000"),
        ("", None),
        ("202602301200", None),
        ("20260131120000+1500", None),
        ("20260131120000+0160", None),
        ("00010101+1400", None),
        ("00000101", None),
        ("20260131 120000", None),
    ],
)
def test_normalise_date_time(text, normalised):
    assert normalise_date_time(text) == normalised


@pytest.mark.parametrize(
    ("vr", "text", "bounds"),
    [
        ("DA", "20260101", Bounds("20260101", "20260101", single=True)),
        ("DA", "20260101-20260131", Bounds("20260101", "20260131", single=False)),
        ("DA", "20260101 - 20260131", Bounds("20260101", "20260131", single=False)),
        ("DA", "2026.01.01-2026.01.31", Bounds("20260101", "20260131", single=False)),
        ("DA", "20260101-", Bounds("20260101", None, single=False)),
        ("DA", "-20260131", Bounds(None, "20260131", single=False)),
        ("DA", "-", Bounds(None, None, single=False)),
        ("DA", "2026-01-31", None),
        ("DA", "20260101--20260131", None),
        ("DA", "202601-", None),
        ("TM", "1000-1800", Bounds("100000.000000", "180059.999999", single=False)),
        ("TM", "10", Bounds("100000.000000", "105959.999999", single=True)),
        ("DT", "2026", Bounds("20260101000000.000000", "20261231235959.999999", single=True)),
        ("DT", "202402", Bounds("20240201000000.000000", "20240229235959.999999", single=True)),
        ("DT", "2025-2026", Bounds("20250101000000.000000", "20261231235959.999999", single=False)),
        (
            "DT",
            "20260101-0500-20260102-0500",
            Bounds("20260101050000.000000", "20260103045959.999999", single=False),
        ),
        ("DT", "20260101-0500-", Bounds("20260101050000.000000", None, single=False)),
        ("DT", "-20260101-0500", Bounds(None, "20260102045959.999999", single=False)),
        ("DT", "20260101120000-0500", Bounds("20260101170000.000000", "20260101170000.999999", single=True)),
        ("DT", "-" * 10_000, None),
    ],
)
def test_query_bounds(vr, text, bounds):
    assert query_bounds(vr, text) == bounds


def test_reversed_ranges_are_recognised():
    assert query_bounds("DA", "20260131-20260101").reversed
    assert query_bounds("TM", "2200-0600").reversed
    assert not query_bounds("TM", "2200-22").reversed


@given(DATES, DATES)
def test_normalised_dates_sort_as_dates_do(one, other):
    assert (normalise_date(_da(one)) < normalise_date(_da(other))) == (one < other)


@given(st.times(), st.times())
def test_normalised_times_sort_as_times_do(one, other):
    texts = [normalise_time(value.strftime("%H%M%S.%f")) for value in (one, other)]
    assert (texts[0] < texts[1]) == (one < other)


@given(st.times(), st.sampled_from([2, 4, 6, 8, 10, 13]))
def test_a_time_lies_in_the_period_that_its_beginning_names(value: time, length):
    text = value.strftime("%H%M%S.%f")
    first, last = time_bounds(text[:length])
    assert first <= normalise_time(text) <= last
    assert len(first) == len(last) == 13


@given(
    st.datetimes(min_value=datetime(1000, 1, 2), max_value=datetime(9998, 1, 1)),
    st.integers(min_value=-12 * 60, max_value=14 * 60),
)
def test_normalised_moments_are_in_utc(moment, offset_minutes):
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    expected = aware.astimezone(UTC)
    text = aware.strftime("%Y%m%d%H%M%S.%f%z")
    assert normalise_date_time(text) == expected.strftime("%Y%m%d%H%M%S.%f").rjust(21, "0")


@given(st.sampled_from(["DA", "TM", "DT"]), st.one_of(st.text(), st.text("0123456789.:+- ", max_size=60)))
def test_any_text_gives_bounds_or_none(vr, text):
    bounds = query_bounds(vr, text)
    assert bounds is None or isinstance(bounds, Bounds)
