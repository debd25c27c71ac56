"""Associations that stay open for some seconds when their batch is done: the next one often comes in a moment.

A single image every second goes over one association then, and not over one each. They are of no use to anybody else:
whoever else wants the remote AE (a poll, storage commitment, a C-MOVE) has them released first, for it may have room
for one association only.

The states of such an association, and where each event leads, are the table `TRANSITIONS`. The events:

*kept*
    Its session ends, and gives it here.
*taken*
    The next session takes it: its presentation contexts are enough.
*unfit*
    They are not; it is released, and the session opens another one.
*expired*
    Nobody has taken it for `IDLE_S`.
*wanted*
    Somebody else wants the remote AE.
*changed*
    The configuration does not have its entry any more as it was.
*stopped*
    The worker ends, or another one appears that may send to the remote AE as well.
*lost*
    The remote AE has released or aborted it, closed the connection, or sends what nobody asked for.
*released*
    The connection is closed, see `releasing`.

While a session uses it, it belongs to that: see `session`.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from medserver.scu.transitions import read_table

if TYPE_CHECKING:  # every node has such associations, and few commands have any need of pynetdicom
    from medserver.wire.association import Association
    from medserver.wire.requestor import Address, Proposal

IDLE_S = 5.0
"""How long an association waits for the next batch [s]."""

OPEN_LONGEST_S = 60.0
"""One that was opened earlier is not kept: some remote AEs work on what they were sent only when it is released."""

GATHER_S = 0.05
"""For a moment one that was kept is not watched, for it is taken again by the next batch most probably [s]."""

LOOK_S = 0.5
"""How often it is looked whether the configuration has changed, while there are any [s]."""

State = IntEnum("State", "USED IDLE RELEASING ENDED")
Event = IntEnum("Event", "KEPT TAKEN UNFIT EXPIRED WANTED CHANGED STOPPED LOST RELEASED")

_TABLE = """
event      used       idle       releasing  ended
kept       idle       .          .          .
taken      .          used       .          .
unfit      .          releasing  .          .
expired    used       releasing  releasing  ended
wanted     used       releasing  releasing  ended
changed    used       releasing  releasing  ended
stopped    used       releasing  releasing  ended
lost       used       releasing  releasing  ended
released   .          .          ended      .
"""

TRANSITIONS = read_table(_TABLE, State, Event)
"""The next state, for each state and event; a pair that is not there does not happen."""

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Kept:
    """An association that was kept open.

    Parameters
    ----------
    association : Association
        The association, established and without an operation.
    address : Address
        The remote AE.
    proposals : collection of Proposal
        What was proposed when it was opened.
    until : float
        When it expires, on the clock of its keeper [s].
    is_current : callable
        Tells whether the configuration still has what it was opened by.

    Attributes
    ----------
    state : State
        See `TRANSITIONS`.
    ended : threading.Event
        Set when the connection is closed.
    """

    association: Association
    address: Address
    proposals: Collection[Proposal]
    until: float
    is_current: Callable[[], bool]
    state: State = State.USED
    ended: threading.Event = field(default_factory=threading.Event)

    def fits(self, wanted: Sequence[Proposal]) -> bool:
        """Tell whether its presentation contexts are enough: all was proposed, and each SOP class accepted somehow.

        What was not accepted is a lasting refusal of instances: another association finds out whether it still is.
        """
        accepted = {context.abstract_syntax for context in self.association.contexts.values()}
        return set(wanted) <= set(self.proposals) and {one.abstract_syntax for one in wanted} <= accepted


class IdleAssociations:
    """The associations that a process keeps open. Threads share it.

    It keeps none before `allow`, and none after `close`.

    Parameters
    ----------
    idle_s, open_longest_s : float
        See `IDLE_S` and `OPEN_LONGEST_S`.
    clock : callable
        Returns the monotonic time [s] by which they expire.
    """

    def __init__(
        self,
        idle_s: float = IDLE_S,
        open_longest_s: float = OPEN_LONGEST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle_s = idle_s
        self._open_longest_s = open_longest_s
        self._clock = clock
        self._kept: list[Kept] = []  # those that are idle, or being released
        self._lock = threading.Lock()
        self._is_allowed = False
        self._is_closed = False
        self._waker: socket.socket | None = None  # of the thread that watches them, while there is one

    # Life

    def allow(self, allowed: bool) -> None:
        """Keep associations from now on, or release those that there are, and keep none."""
        with self._lock:
            self._is_allowed = allowed and not self._is_closed
            ended = [] if self._is_allowed else self._move(self._kept, Event.STOPPED)
        self._release(ended)

    def close(self) -> None:
        """Release all that there are in the background, see `releasing.wait`, and keep none any more."""
        with self._lock:
            self._is_closed = True
        self.allow(False)

    # Giving and taking

    def keep(
        self,
        address: Address,
        association: Association,
        proposals: Collection[Proposal],
        is_current: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Keep an association open; False if it is not kept, and the caller has to release it.

        Parameters
        ----------
        address, association, proposals, is_current
            As in `Kept`.
        """
        is_old = time.monotonic() - association.opened_at > self._open_longest_s
        if is_old or not association.is_established or association.message_waiting():
            return False
        kept = Kept(association, address, frozenset(proposals), self._clock() + self._idle_s, is_current)
        with self._lock:
            if not self._is_allowed or not self._is_watched():
                return False
            self._move([kept], Event.KEPT)
            self._kept.append(kept)
        return True

    def take(self, address: Address, wanted: Sequence[Proposal]) -> Association | None:
        """Return an association with a remote AE whose presentation contexts are enough; None if there is none.

        Then one that is idle is released, so that another one may be opened in its place: there are never more with a
        remote AE than were used at a time. It is waited for its end, but not for long.
        """
        taken, ended = None, list[Kept]()
        with self._lock:
            for kept in reversed(self._idle(address)):
                if kept.association.message_waiting():
                    ended += self._move([kept], Event.LOST)
                elif not kept.is_current():
                    ended += self._move([kept], Event.CHANGED)
                elif kept.fits(wanted):
                    self._move([kept], Event.TAKEN)
                    self._kept.remove(kept)
                    taken = kept.association
                    break
            if taken is None:
                ended += self._move(self._idle(address)[:1], Event.UNFIT)
        self._release(ended)
        if taken is None:
            self._wait_for_end(address)
        return taken

    def make_room(self, address: Address) -> None:
        """Release the idle associations with whoever listens at an address; wait for their end, but not for long."""
        with self._lock:
            ended = self._move([kept for kept in self._kept if _listens_at(kept, address)], Event.WANTED)
        self._release(ended)
        self._wait_for_end(address)

    def _idle(self, address: Address) -> list[Kept]:
        return [kept for kept in self._kept if kept.state is State.IDLE and kept.address == address]

    # Ending

    def _move(self, some: Iterable[Kept], event: Event) -> list[Kept]:
        """Let an event happen to some; return those that are to be released now. The lock is held."""
        ended = []
        for kept in some:
            before, kept.state = kept.state, TRANSITIONS[kept.state, event]
            if kept.state is State.RELEASING and before is not State.RELEASING:
                logger.debug("an idle association with %s is released: %s", kept.address, event.name.lower())
                ended.append(kept)
        return ended

    def _release(self, some: Collection[Kept]) -> None:
        if not some:
            return
        from medserver.scu.releasing import release  # with pynetdicom

        for kept in some:
            release(kept.association, lambda kept=kept: self._released(kept), within_s=0.0)

    def _released(self, kept: Kept) -> None:
        with self._lock:
            self._move([kept], Event.RELEASED)
            self._kept.remove(kept)
        kept.ended.set()

    def _wait_for_end(self, address: Address) -> None:
        """Wait until none that is being released is open any more, but not for long."""
        with self._lock:
            some = [one for one in self._kept if one.state is State.RELEASING and _listens_at(one, address)]
        if not some:
            return
        from medserver.scu.releasing import RELEASED_WITHIN_S  # with pynetdicom

        deadline = time.monotonic() + RELEASED_WITHIN_S
        for kept in some:
            kept.ended.wait(max(0.0, deadline - time.monotonic()))

    # Watching

    def _is_watched(self) -> bool:
        """Have a thread look at what there is now; False if there can be none. The lock is held."""
        if self._waker is not None:
            self._wake(self._waker)
            return True
        try:
            woken, waker = socket.socketpair()
        except OSError as error:  # no descriptor
            logger.warning("no association is kept open: %s", error)
            return False
        try:
            threading.Thread(target=self._watch, args=(woken,), name="idle associations", daemon=True).start()
        except RuntimeError as error:  # there can be no more threads
            logger.warning("no association is kept open: %s", error)
            woken.close()
            waker.close()
            return False
        waker.setblocking(False)
        self._waker = waker
        return True

    def _wake(self, waker: socket.socket) -> None:
        with suppress(BlockingIOError):  # then it is about to wake up
            waker.send(b"\0")

    def _watch(self, woken: socket.socket) -> None:
        """Release those that expire, change or are lost, until there are none."""
        with woken:
            while idle := self._watched_soon():
                lost = _readable(idle, woken, self._pause_s(idle))
                changed = [kept for kept in idle if not kept.is_current()]
                now = self._clock()
                with self._lock:
                    ended = self._move(lost, Event.LOST)
                    ended += self._move([kept for kept in idle if kept.until <= now], Event.EXPIRED)
                    ended += self._move(changed, Event.CHANGED)
                self._release(ended)

    def _watched_soon(self) -> list[Kept]:
        """Return those that are idle after a moment; if there are none, the thread ends."""
        time.sleep(GATHER_S)
        with self._lock:
            idle = [kept for kept in self._kept if kept.state is State.IDLE]
            if not idle and self._waker is not None:
                self._waker.close()
                self._waker = None
            return idle

    def _pause_s(self, idle: Iterable[Kept]) -> float:
        return max(0.0, min(LOOK_S, min(kept.until for kept in idle) - self._clock()))


def _listens_at(kept: Kept, address: Address) -> bool:
    return (kept.address.host, kept.address.port) == (address.host, address.port)


def _readable(idle: Iterable[Kept], woken: socket.socket, timeout_s: float) -> list[Kept]:
    """Return those on which something can be read within a time, or none if something else is to be looked at."""
    by_descriptor = {kept.association.fileno(): kept for kept in idle}
    poller = select.poll()
    for descriptor in (woken.fileno(), *by_descriptor):
        if descriptor >= 0:
            poller.register(descriptor, select.POLLIN)
    ready = [descriptor for descriptor, _ in poller.poll(timeout_s * 1000)]
    if woken.fileno() in ready:
        woken.recv(4096)
    return [by_descriptor[descriptor] for descriptor in ready if descriptor in by_descriptor]
