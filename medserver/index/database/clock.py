"""The clock of the database, which all hosts that share it have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class DatabaseClock:
    """Tells the time of the database without asking it each time.

    What the database said is carried on with the monotonic clock of this process, so that neither a wrong clock of this
    host matters nor one that is set. Each transaction asks anew: what it says bounds the present moment from both
    sides, by as much as the answer took. Within the bounds the clock goes on as it went.

    Parameters
    ----------
    monotonic : callable
        Tells time within this process [s].
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._begin: datetime | None = None

    def __call__(self) -> datetime:
        """Return the present moment."""
        if self._begin is None:
            raise RuntimeError("the database was never asked for its time")
        return self._begin + timedelta(seconds=self.monotonic())

    def set(self, told: datetime, asked_at: float) -> None:
        """Take over what the database has just said.

        Parameters
        ----------
        told : datetime
            The time of the database.
        asked_at : float
            When it was asked, in the time of this process [s].
        """
        earliest = told.astimezone(UTC) - timedelta(seconds=self.monotonic())
        latest = told.astimezone(UTC) - timedelta(seconds=asked_at)
        if self._begin is None or not earliest <= self._begin <= latest:
            self._begin = earliest + (latest - earliest) / 2
