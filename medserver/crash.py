"""Crash points: places at which a test lets the process die, to see that nothing acknowledged is lost.

They do nothing unless the environment variable ``MEDSERVER_CRASH_POINT`` names one of them when the process starts.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "MEDSERVER_CRASH_POINT"

POINTS = (
    "object received",
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
    "rows deleted",
    "tombstones written",
    "file deleted",
    "index dumped",
    "backup written",
    "backup complete",
)
"""Every point, in the order in which an object passes them: reception, journal or file, index, placement, further
copies, compression, deletion; at last those of a backup of the index."""

_chosen, _, _count = os.environ.get(VARIABLE, "").partition(":")
_left = [int(_count or 1)]


def crash_point(name: str) -> None:
    """Die as by a power cut, if this is the chosen point and it has been reached often enough.

    Parameters
    ----------
    name : str
        ``MEDSERVER_CRASH_POINT=name`` kills the process the first time, ``name:5`` the fifth time.
    """
    if name != _chosen:
        return
    _left[0] -= 1
    if _left[0] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
