"""Associations are released in the background: who does not answer an A-RELEASE request holds up nobody (PS3.8 7.2).

Who answers is waited for: some remote AEs have room for one association, and would reject the next.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from medserver.errors import AssociationAborted
from medserver.wire.association import Association
from medserver.wire.requestor import abort

RELEASES_MAX = 64
"""How many associations are released at a time. Beyond that they are aborted: all their work is done."""

RELEASED_WITHIN_S = 1.0
"""How long the answer is waited for before the release goes on in the background."""

READ_WITHIN_S = 1.0
"""How long the rest of a PDU of which something has arrived is waited for."""

STOP_WAIT_S = 1.0
"""How long a process of the node that is asked to stop waits for them."""

_THREAD_NAME = "release"

logger = logging.getLogger(__name__)
_slots = threading.BoundedSemaphore(RELEASES_MAX)


def release(
    association: Association, on_end: Callable[[], None] = lambda: None, within_s: float = RELEASED_WITHIN_S
) -> None:
    """Release an association; what takes longer than a moment, in a thread of its own.

    Parameters
    ----------
    on_end : callable
        Called when the connection is closed.
    within_s : float
        How long it is waited for that [s].
    """
    if _slots.acquire(blocking=False):
        thread = threading.Thread(target=_release, args=(association, on_end), name=_THREAD_NAME, daemon=True)
        try:
            thread.start()
            thread.join(within_s)
            return
        except RuntimeError as error:  # there can be no more threads
            logger.warning("an association is aborted instead of released: %s", error)
            _slots.release()
    abort(association)
    on_end()


def wait(timeout_s: float = STOP_WAIT_S) -> None:
    """Wait until all associations are released, but no longer than this [s]: the end of the process cuts them off."""
    deadline = time.monotonic() + timeout_s
    for thread in threading.enumerate():
        if thread.name == _THREAD_NAME:
            thread.join(max(deadline - time.monotonic(), 0.0))


def end_lost(association: Association) -> None:
    """Read what the remote AE has sent while nothing was under way; its A-RELEASE is answered (PS3.8 7.2)."""
    try:
        association.next_message(READ_WITHIN_S)
    except AssociationAborted as error:
        logger.debug("an association without work ended: %s", error)


def _release(association: Association, on_end: Callable[[], None]) -> None:
    try:
        if association.is_established and association.message_waiting():
            end_lost(association)
        association.release()
    finally:
        on_end()
        _slots.release()
