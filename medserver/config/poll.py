"""What is collected from whom, as config.ini has it."""

from __future__ import annotations

from dataclasses import dataclass

from medserver.config.hours import Hours

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
    hours : Hours
        When it is done.
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
    hours: Hours
    retrieve: str
    instances_max: int
    keys: tuple[tuple[str, str], ...] = ()
