"""Hours of the day, local time, between which something may be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Hours:
    """From one full hour to another; over midnight if the second is the smaller one.

    Parameters
    ----------
    first, last : int
        From `first`, 0 to 23, to before `last`, 1 to 24.
    """

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def is_open(self, moment: datetime) -> bool:
        """Tell whether a moment, which is aware, lies within."""
        hour = moment.astimezone().hour
        if self.first < self.last:
            return self.first <= hour < self.last
        return hour >= self.first or hour < self.last

    def next_open(self, moment: datetime) -> datetime:
        """Return the moment itself if it lies within, else the next one that does, at a full hour."""
        while not self.is_open(moment):
            local = moment.astimezone()
            moment = local.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return moment

    def opening(self, moment: datetime) -> datetime | None:
        """Return when the hours began in which a moment lies, else the next beginning; None if they are all hours."""
        if self.last - self.first == 24 or self.first == self.last:
            return None
        begin = self.next_open(moment)
        if begin != moment:
            return begin
        begin = moment.astimezone().replace(minute=0, second=0, microsecond=0)
        while self.is_open(begin - timedelta(hours=1)):
            begin -= timedelta(hours=1)
        return begin


ALWAYS = Hours(0, 24)
