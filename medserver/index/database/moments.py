"""Moments as they stand in the database: UTC, ISO 8601, microseconds, so that texts sort by time."""

from __future__ import annotations

from datetime import UTC, datetime


def to_text(moment: datetime) -> str:
    """Write a moment.

    Parameters
    ----------
    moment : datetime
        With a time zone.

    Returns
    -------
    str
        ``2026-01-31T12:00:00.000000+00:00``.
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def from_text(text: str) -> datetime:
    """Read what `to_text` wrote."""
    return datetime.fromisoformat(text)


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)
