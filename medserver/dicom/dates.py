"""Dates, times and moments (DA, TM, DT of PS3.5 6.2) in the form in which they are compared.

A normalised date is ``YYYYMMDD``, a time ``HHMMSS.FFFFFF``, a moment ``YYYYMMDDHHMMSS.FFFFFF`` in UTC: each
of one width, so that it compares as text. A value of reduced precision stands for the whole period that it
names: as the end of a range, ``18`` is 18:59:59.999999, and as a single value it matches any time from 18:00
on until then. A stored value of reduced precision counts as the beginning of its period.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

_PADDING = " \0"
_RANGE_LENGTH_MAX = 64

# With the forms of ACR-NEMA that PS3.5 6.2 recommends to accept: YYYY.MM.DD and HH:MM:SS.FFFFFF.
_DATE = re.compile(r"(\d{4})(?P<dot>\.?)(\d{2})(?P=dot)(\d{2})", re.ASCII)
_TIME = re.compile(r"(\d{2})(?:(?P<colon>:?)(\d{2})(?:(?P=colon)(\d{2})(?:\.(\d*))?)?)?", re.ASCII)
_DATE_TIME = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.(\d*))?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_OFFSET_MIN, _OFFSET_MAX = timedelta(hours=-12), timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first and the last moment that a key of a query asks for.

    Parameters
    ----------
    first, last : str or None
        Normalised and included; None for an open end.
    single : bool
        Whether the key was a single value, and not a range.
    """

    first: str | None
    last: str | None
    single: bool

    @property
    def reversed(self) -> bool:
        """Whether the last moment comes before the first."""
        return self.first is not None and self.last is not None and self.last < self.first


def normalise_date(text: str) -> str | None:
    """Normalise a date.

    Parameters
    ----------
    text : str
        A DA: ``20260131``, or ``2026.01.31``.

    Returns
    -------
    str or None
        ``YYYYMMDD``. None if it is empty or not a date. A day that its month does not have (the 31st of
        February of an anonymised file) is let through: it can still be found and sorted.
    """
    match = _DATE.fullmatch(text.strip(_PADDING))
    if match is None:
        return None
    year, month, day = match.group(1, 3, 4)
    return year + month + day if "01" <= month <= "12" and "01" <= day <= "31" else None


def normalise_time(text: str) -> str | None:
    """Normalise a time.

    Parameters
    ----------
    text : str
        A TM: ``HHMMSS.FFFFFF`` with less precision at will, or ``HH:MM:SS.FFFFFF``. Digits after the sixth of
        the fraction, which some devices write, are dropped.

    Returns
    -------
    str or None
        ``HHMMSS.FFFFFF``, filled with zeros. None if it is empty or not a time.
    """
    bounds = time_bounds(text)
    return None if bounds is None else bounds[0]


def normalise_date_time(text: str) -> str | None:
    """Normalise a moment.

    Parameters
    ----------
    text : str
        A DT. Without an offset it counts as UTC.

    Returns
    -------
    str or None
        ``YYYYMMDDHHMMSS.FFFFFF`` in UTC, the beginning of the period if the precision is reduced. None if it
        is empty or not a moment.
    """
    bounds = date_time_bounds(text)
    return None if bounds is None else bounds[0]


def date_bounds(text: str) -> tuple[str, str] | None:
    """Return the date twice: a date has one precision.

    Parameters
    ----------
    text : str
        As for `normalise_date`.

    Returns
    -------
    tuple of str, or None
        First and last, equal. None if the text is not a date.
    """
    date = normalise_date(text)
    return None if date is None else (date, date)


def time_bounds(text: str) -> tuple[str, str] | None:
    """Return the period that a time names.

    Parameters
    ----------
    text : str
        As for `normalise_time`.

    Returns
    -------
    tuple of str, or None
        First and last microsecond. None if the text is not a time.
    """
    match = _TIME.fullmatch(text.strip(_PADDING))
    if match is None:
        return None
    hour, minute, second, fraction = match.group(1, 3, 4, 5)
    # The 60th second of PS3.5 6.2 is a leap second.
    if hour > "23" or (minute or "") > "59" or (second or "") > "60":
        return None
    return (
        f"{hour}{minute or '00'}{second or '00'}.{_fill(fraction, '0')}",
        f"{hour}{minute or '59'}{second or '59'}.{_fill(fraction, '9')}",
    )


def date_time_bounds(text: str) -> tuple[str, str] | None:
    """Return the period that a moment names.

    Parameters
    ----------
    text : str
        As for `normalise_date_time`.

    Returns
    -------
    tuple of str, or None
        First and last microsecond in UTC. None if the text is not a moment.
    """
    match = _DATE_TIME.fullmatch(text.strip(_PADDING))
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, suffix = match.groups()
    offset = _offset(suffix)
    if offset is None or (second or "") > "60":
        return None
    try:
        first = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0)) - offset
        last_month = int(month or 12)
        last_day = int(day or calendar.monthrange(int(year), last_month)[1])
        last = datetime(int(year), last_month, last_day, int(hour or 23), int(minute or 59)) - offset
    except (ValueError, OverflowError):
        return None
    return (
        f"{_to_the_minute(first)}{second or '00'}.{_fill(fraction, '0')}",
        f"{_to_the_minute(last)}{second or '59'}.{_fill(fraction, '9')}",
    )


_BOUNDS: Mapping[str, Callable[[str], tuple[str, str] | None]] = MappingProxyType({
    "DA": date_bounds,
    "TM": time_bounds,
    "DT": date_time_bounds,
})


def query_bounds(vr: str, text: str) -> Bounds | None:
    """Read a single value or a range of a query.

    Parameters
    ----------
    vr : str
        ``DA``, ``TM`` or ``DT``.
    text : str
        ``A``, ``A-B``, ``A-`` or ``-B``, with spaces around the hyphen at will. A lone ``-`` is open at both
        ends.

    Returns
    -------
    Bounds or None
        Possibly reversed. None if the text is neither a value of this VR nor a range of such values.

    References
    ----------
    PS3.4 C.2.2.2.5
    """
    text = text.strip(_PADDING)
    if len(text) > _RANGE_LENGTH_MAX:
        return None
    ranges = [
        bounds
        for position, character in enumerate(text)
        if character == "-" and (bounds := _range(vr, text[:position], text[position + 1 :])) is not None
    ]
    # The hyphen of a DT may also be the sign of an offset: the range that runs forward is the one that was
    # meant, then a single moment, although PS3.4 C.2.2.2.1.3 asks not to send a negative offset in one.
    forward = [bounds for bounds in ranges if not bounds.reversed]
    if forward:
        return forward[0]
    period = _BOUNDS[vr](text)
    if period is not None:
        return Bounds(*period, single=True)
    return ranges[0] if ranges else None


def _range(vr: str, first_text: str, last_text: str) -> Bounds | None:
    first, last = _end_of_range(vr, first_text), _end_of_range(vr, last_text)
    if first is None or last is None:
        return None
    return Bounds(first[0] or None, last[1] or None, single=False)


def _end_of_range(vr: str, text: str) -> tuple[str, str] | None:
    return ("", "") if not text.strip(_PADDING) else _BOUNDS[vr](text)


def _fill(fraction: str | None, digit: str) -> str:
    return (fraction or "")[:6].ljust(6, digit)


def _offset(suffix: str | None) -> timedelta | None:
    if suffix is None:
        return timedelta(0)
    offset = timedelta(hours=int(suffix[1:3]), minutes=int(suffix[3:5])) * (-1 if suffix[0] == "-" else 1)
    return offset if suffix[3] < "6" and _OFFSET_MIN <= offset <= _OFFSET_MAX else None


def _to_the_minute(moment: datetime) -> str:
    # Not strftime: %Y does not pad the years before 1000 on every platform.
    return f"{moment.year:04}{moment.month:02}{moment.day:02}{moment.hour:02}{moment.minute:02}"
