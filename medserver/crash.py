"""Crash points: places at which a test lets the process die, to see that nothing acknowledged is lost.

They do nothing unless the environment variable ``MEDSERVER_CRASH_POINT`` names one of them when the process comes to
its first one.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from functools import cache

VARIABLE = "MEDSERVER_CRASH_POINT"
ANY = "any"
"""Whichever point comes."""

POINTS = (
    "object received",
    "receipt counted",
    "journal written",
    "journal flushed",
    "segment sealed",
    "segment opened",
    "file flushed",
    "file linked",
    "directory flushed",
    "object sealed",
    "row committed",
    "object placed",
    "objects placed",
    "objects flushed",
    "segment removed",
    "copy written",
    "copy verified",
    "copy entered",
    "copies written",
    "copies entered",
    "compressed written",
    "compressed entered",
    "original released",
    "rows deleted",
    "tombstones written",
    "file deleted",
    "decision committed",
    "decision noted",
    "audit rows sealed",
    "audit window sent",
    "audit window closed",
    "audit rows pruned",
    "item started",
    "inputs staged",
    "output staged",
    "outputs computed",
    "output registered",
    "derivation noted",
    "item completed",
    "film file written",
    "film queued",
    "film begun",
    "film handed over",
    "film noted",
    "film ended",
    "film forgotten",
    "images fetched",
    "print item started",
    "print item completed",
    "index dumped",
    "backup written",
    "backup complete",
)
"""Every point, in the order in which an object passes them: reception, what is received again, journal or
file, index, placement, further copies, compression, deletion, decisions; then those of a work item that is performed,
and of a film that is printed; at last those of a backup of the index."""


@dataclass
class _Chosen:
    """The point at which this process dies, and how often it has yet to come there."""

    name: str
    left: int


@cache
def _chosen() -> _Chosen:
    """Return what the environment named at the first point of this process or of the one it was forked from."""
    name, _, count = os.environ.get(VARIABLE, "").partition(":")
    return _Chosen(name, int(count or 1))


def crash_point(name: str) -> None:
    """Die as by a power cut, if this is the chosen point and it has been reached often enough.

    Parameters
    ----------
    name : str
        ``MEDSERVER_CRASH_POINT=name`` kills the process the first time, ``name:5`` the fifth time, ``any:5``
        at the fifth point, whichever that is.
    """
    chosen = _chosen()
    if chosen.name not in (name, ANY):
        return
    chosen.left -= 1
    if chosen.left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
