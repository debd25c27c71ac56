"""What is done with a work item by what has become of its films: one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType

from medserver.printing.states import DONE, FINAL


class Films(Enum):
    """What has become of the films of an item."""

    LACKING = "not all are queued"
    WAITING = "some have not ended, and the others are done"
    FAILING = "some have not ended, and one has failed, was cancelled or is forgotten"
    FAILED = "all have ended, not all well"
    PRINTED = "all are done"


class Step(Enum):
    """What is done."""

    QUEUE = "the films are queued"
    FOLLOW = "progress is reported"
    CANCEL_FILMS = "the films that wait are cancelled"
    DISCONTINUE = "the item becomes CANCELED"
    COMPLETE = "the item becomes COMPLETED"


STEPS: Mapping[tuple[Films, bool], Step] = MappingProxyType(
    {
        (Films.LACKING, False): Step.QUEUE,
        (Films.WAITING, False): Step.FOLLOW,
        (Films.FAILING, False): Step.CANCEL_FILMS,
        (Films.FAILED, False): Step.DISCONTINUE,
        (Films.PRINTED, False): Step.COMPLETE,
        (Films.LACKING, True): Step.CANCEL_FILMS,
        (Films.WAITING, True): Step.CANCEL_FILMS,
        (Films.FAILING, True): Step.CANCEL_FILMS,
        (Films.FAILED, True): Step.DISCONTINUE,
        (Films.PRINTED, True): Step.COMPLETE,  # what was printed is on paper, whatever anybody wants
    }
)
"""What has become of the films, and whether somebody wants the item cancelled -> what is done with it."""


def films_in(states: Iterable[str], count: int) -> Films:
    """Return what has become of films.

    Parameters
    ----------
    states : iterable of str
        Of those that are in the index.
    count : int
        How many the item has; 0 before all are queued.
    """
    known = list(states)
    if not count:
        return Films.LACKING
    is_whole = len(known) >= count and all(state == DONE for state in known if state in FINAL)
    if all(state in FINAL for state in known):
        return Films.PRINTED if is_whole else Films.FAILED
    return Films.WAITING if is_whole else Films.FAILING
