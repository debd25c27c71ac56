"""What went over an association, counted by SOP class, for the log at its end."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from pydicom.uid import UID

from medserver.log import Event

Outcome = Literal["stored", "refused", "sent", "failed"]
"""``stored``: a C-STORE of the peer that was answered with success. ``refused``: any operation of the peer that ended
with an error. ``sent`` and ``failed``: instances of ours that the peer, or a Move Destination, was to get."""

OUTCOMES: tuple[Outcome, ...] = ("stored", "refused", "sent", "failed")

logger = logging.getLogger(__name__)


class Counts:
    """The counts of one association."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[Outcome]] = defaultdict(Counter)

    def add(self, sop_class_uid: str, outcome: Outcome, count: int = 1) -> None:
        """Count what became of something of a SOP class: of ours, or one that was negotiated."""
        self._counts[sop_class_uid][outcome] += count

    def log(self, **fields: object) -> None:
        """Log a line for each SOP class of which there was anything; it begins with `fields`."""
        for sop_class_uid, counts in self._counts.items():
            numbers = {outcome: counts[outcome] or None for outcome in OUTCOMES}
            logger.info(Event("counts", **fields, sop_class=UID(sop_class_uid).name, **numbers))


@contextmanager
def counted(**fields: object) -> Iterator[Counts]:
    """Give the counts of an association, which are logged when that has ended, however it does."""
    counts = Counts()
    try:
        yield counts
    finally:
        counts.log(**fields)
