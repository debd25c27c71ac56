"""Whether a volume is there. What is to be written waits for it a while, and so do objects that are being received."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from medserver.errors import OutOfResources, StoreFailure
from medserver.node import Node
from medserver.store import FULL, READ_ONLY, Condition, Volume

HOLD_S = 10.0
"""How long a batch of jobs waits for its volume. Meanwhile no other batch for it is claimed, so that a volume that is
away costs a failure now and then, and not one for each job."""

LOOK_EVERY_S = 0.5

QUIET_MAX_S = 2.0
"""How long a batch of jobs lets those go first who are sending objects."""

QUIET_LOOK_EVERY_S = 0.1


def require_present(volume: Volume) -> None:
    """Raise StoreFailure unless a volume can be read."""
    condition = volume.condition()
    if not condition.is_present:
        raise StoreFailure(f"volume {volume.name} is {condition.state}: {condition.detail}")


def wait_until_writable(volume: Volume, should_stop: Callable[[], bool]) -> bool:
    """Wait until a volume can be written.

    Parameters
    ----------
    volume : Volume
        Which.
    should_stop : callable
        Tells whether to give up at once.

    Returns
    -------
    bool
        False if it was told to stop.

    Raises
    ------
    OutOfResources, StoreFailure
        It is still full, or away.
    """
    return _wait(volume, should_stop, lambda condition: condition.is_writable)


def wait_until_removable(volume: Volume, should_stop: Callable[[], bool]) -> bool:
    """Wait until objects can be removed from a volume, which may be full. As `wait_until_writable`."""
    return _wait(volume, should_stop, lambda condition: condition.is_present and condition.state != READ_ONLY)


def _wait(
    volume: Volume,
    should_stop: Callable[[], bool],
    is_enough: Callable[[Condition], bool],
) -> bool:
    deadline = time.monotonic() + HOLD_S
    while not is_enough(condition := volume.condition()):
        if should_stop():
            return False
        if time.monotonic() >= deadline:
            kind = OutOfResources if condition.state == FULL else StoreFailure
            raise kind(f"volume {volume.name} is {condition.state}: {condition.detail}")
        _pause(LOOK_EVERY_S)
    return True


class Share:
    """The share of background work where objects are being received all the time: half.

    Between two pieces of work others go first, but not for longer than the last piece took: a backlog shrinks whenever
    reception leaves half of the machine. When nobody sends, nothing waits.

    Parameters
    ----------
    clock : callable
        Returns monotonic seconds.
    pause : callable
        Waits for some seconds.
    """

    def __init__(self, clock: Callable[[], float], pause: Callable[[float], None]) -> None:
        self._clock = clock
        self._pause = pause
        self._resumed_at = clock()

    def let_others_go_first(self, is_receiving: Callable[[], bool], should_stop: Callable[[], bool]) -> None:
        """Wait while objects are being received, at most for as long as was worked, and for `QUIET_MAX_S`."""
        now = self._clock()
        deadline = now + min(max(now - self._resumed_at, 0.0), QUIET_MAX_S)
        while (left_s := deadline - self._clock()) > 0 and is_receiving() and not should_stop():
            self._pause(min(left_s, QUIET_LOOK_EVERY_S))
        self._resumed_at = self._clock()


def let_others_go_first(node: Node, should_stop: Callable[[], bool]) -> None:
    """Wait while objects are being received, but not for long: copies must be made in a house that never sleeps."""
    _share.let_others_go_first(node.primary_volume.is_receiving, should_stop)


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


_share = Share(time.monotonic, _pause)
"""That of this process: what several threads do counts together."""
