"""The clock of the tests: it stands until it is set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeVar

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

Moment = TypeVar("Moment", datetime, float)


class Clock:
    """A clock that the test sets.

    Parameters
    ----------
    now : datetime or float
        Where it stands; a float for a monotonic clock [s].
    step_s : float
        How far it goes on before each look at it.

    Attributes
    ----------
    now : datetime or float
        Where it stands.
    """

    def __init__(self, now: Moment = NOON, *, step_s: float = 0) -> None:
        self.now = now
        self._step_s = step_s

    def __call__(self) -> Moment:
        self.advance(self._step_s)
        return self.now

    def advance(self, seconds: float) -> None:
        """Go on."""
        self.now = self.after(seconds)

    def after(self, seconds: float) -> Moment:
        """Return what it will show then."""
        return self.now + (timedelta(seconds=seconds) if isinstance(self.now, datetime) else seconds)
