"""What is collected from whom, as config.ini has it."""

from __future__ import annotations

from dataclasses import dataclass

RETRIEVALS = ("get", "move")


@dataclass(frozen=True, slots=True)
class Poll:
    """One ``[poll NAME]``.

    Parameters
    ----------
    name : str
        Name of the entry.
    source : str
        The name of the ``[ae NAME]`` entry that is asked.
    every_s : float
        From one time to the next [s].
    days_back : int
        How old a study may be, by its Study Date; 0 is today alone.
    hours : tuple of int
        From which hour of the day to which it is done, local time: (0, 24) is always; (20, 6) is at night.
    retrieve : str
        One of `RETRIEVALS`: how instances are fetched.
    instances_max : int
        How many instances are fetched in one go; 0 is without limit.
    keys : tuple of (str, str)
        What the query asks for besides: keyword and value.
    """

    name: str
    source: str
    every_s: float
    days_back: int
    hours: tuple[int, int]
    retrieve: str
    instances_max: int
    keys: tuple[tuple[str, str], ...] = ()

    def is_open(self, hour: int) -> bool:
        """Tell whether it may be done at this hour of the day."""
        first, last = self.hours
        return first <= hour < last if first < last else hour >= first or hour < last
