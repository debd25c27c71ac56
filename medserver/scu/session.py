"""A session with a remote AE: exchanges over one association, opened when it is needed and again where it breaks.

A failure is the remote AE's or ours. Ours is one of our file, database or memory: it costs the exchange, is never
counted against the remote AE, and costs the association only where a message had begun, which cannot be taken back.

The states, and where each event leads, are the table `TRANSITIONS`. The events:

*open*
    An exchange is wanted, and there is no association.
*accepted*, *refused*
    The remote AE accepted presentation contexts, or none of them. An association that stayed open has them accepted.
*send*, *answered*
    An exchange begins; the remote AE has answered, whatever it says.
*lost*
    The remote AE released, aborted or closed an association on which nothing was under way: another one is opened.
*unsent*
    A local failure before the first byte of a message.
*broke*
    What is tried once more: a remote failure in an exchange (A-ABORT, the end of the connection, a timeout, what breaks
    the protocol), a local one within a message (another copy of the file may be good), or a connection that is refused
    by who may listen in a moment, or an association by who has no room at the moment.
*failed*
    The same for the second time, or where it must not be repeated. The next exchange opens another association.
*given up*
    The remote AE cannot be reached, rejects us, or too many exchanges in a row have broken: see `Standing`.
*cancelled*
    `Session.interrupt`.
*kept*
    The session is closed, and the association stays open for the next one: see `idle`.
*end*, *released*
    The session is closed, and the association released (see `releasing`): by an answer, an A-ABORT, the end of the
    connection, or a timeout.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from medserver.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectionFailed,
    DestinationPaused,
    MedserverError,
    NoContextAccepted,
    RemoteError,
    RequestError,
    StoreFailure,
)
from medserver.log import Event as LogEvent
from medserver.scu.idle import IdleAssociations
from medserver.scu.releasing import end_lost, release
from medserver.scu.transitions import read_table
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, Proposal, abort, associate

BREAKS_MAX = 3
"""After so many broken exchanges in a row the remote AE is given up."""

CONNECT_AGAIN_S = 0.05
"""How soon a connection that was refused is tried again, where the remote AE may listen in a moment."""

REJECTED_TRANSIENT = 2
REJECTED_AGAIN_S = 0.2
"""How soon an association is asked for again that was rejected for the moment (PS3.8 9.3.4): the remote AE may have
room for one, which our own worker is about to release."""

Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)


State = IntEnum("State", "CLOSED CONNECTING ESTABLISHED SENDING REPEATING PAUSED RELEASING")
Event = IntEnum(
    "Event",
    "OPEN ACCEPTED REFUSED SEND LOST ANSWERED UNSENT BROKE FAILED GIVEN_UP CANCELLED KEPT END RELEASED",
)

_TABLE = """
event      closed      connecting   established  sending      repeating    paused  releasing
open       connecting  .            .            .            .            .       .
accepted   .           established  .            .            established  .       .
refused    .           closed       .            .            closed       .       .
send       .           .            sending      .            .            .       .
lost       .           .            closed       .            .            .       .
answered   .           .            .            established  .            .       .
unsent     .           closed       .            established  closed       .       .
broke      .           repeating    .            repeating    repeating    .       .
failed     .           .            .            closed       .            .       .
given_up   paused      paused       paused       paused       paused       .       .
cancelled  paused      paused       paused       paused       paused       .       .
kept       .           .            closed       .            .            .       .
end        closed      .            releasing    .            .            closed  .
released   .           .            .            .            .            .       closed
"""


TRANSITIONS = read_table(_TABLE, State, Event)
"""The next state, for each state and event; a pair that is not there does not happen."""


@dataclass
class Standing:
    """What is known of a remote AE by all sessions with it.

    Parameters
    ----------
    reason : str
        Why nothing is sent to it; empty while something is.
    on_reached : callable
        Called once, when it has answered for the first time.
    on_given_up : callable
        Called with the reason when it is given up.
    is_reached_by_any_answer : bool
        Else who uses the session says when it is `reached`: it may answer that it has no resources.

    Attributes
    ----------
    breaks : int
        How many exchanges in a row have broken.
    """

    reason: str = ""
    on_reached: Callable[[], None] = lambda: None
    on_given_up: Callable[[str], None] = lambda reason: None
    is_reached_by_any_answer: bool = True
    breaks: int = 0
    _is_reached: bool = False

    def answered(self) -> None:
        """Note that it has answered."""
        self.breaks = 0
        if self.is_reached_by_any_answer:
            self.reached()

    def reached(self) -> None:
        """Note that it does its part."""
        if not self._is_reached:
            self._is_reached = True
            self.on_reached()

    def broke(self, error: RemoteError) -> None:
        """Note that an exchange broke, which is its failure; give it up if that happens too often."""
        self.breaks += 1
        if self.breaks >= BREAKS_MAX:
            self.give_up(error)

    def give_up(self, error: RemoteError) -> None:
        """Have nothing more sent to it."""
        if not self.reason:
            self.reason = str(error)
            self.on_given_up(self.reason)


class Session:
    """Exchanges with one remote AE; a context manager that ends with the release of the association.

    One thread uses it; any thread may call `interrupt`.

    Parameters
    ----------
    address : Address
        The remote AE.
    proposals : sequence of Proposal
        The presentation contexts of its association.
    calling_ae_title : str
        Our AE title.
    limits : WireLimits
        Timeouts and sizes.
    standing : Standing, optional
        Shared with other sessions with the same remote AE.
    listens_within_s : float
        How long a connection that is refused, or an association that is rejected for the moment, is tried again, from
        the first time on [s].

    idle : IdleAssociations, optional
        The associations that stay open between sessions: one with the remote AE is taken if it will do, else released.
    keeps_while : callable, optional
        Tells whether the association may stay open when the session ends, then and later. Without it the session takes
        and keeps none: those that there are make room for it.

    Attributes
    ----------
    state : State
        See `TRANSITIONS`.
    """

    def __init__(
        self,
        address: Address,
        proposals: Sequence[Proposal],
        calling_ae_title: str,
        limits: WireLimits,
        standing: Standing | None = None,
        listens_within_s: float = 0.0,
        idle: IdleAssociations | None = None,
        keeps_while: Callable[[], bool] | None = None,
    ) -> None:
        self.state = State.CLOSED
        self.standing = standing or Standing()
        self._address = address
        self._proposals = proposals
        self._calling_ae_title = calling_ae_title
        self._limits = limits
        self._listens_within_s = listens_within_s
        self._idle = idle
        self._keeps_while = keeps_while
        self._association: Association | None = None
        self._refusal: NoContextAccepted | None = None
        self._cancelled = threading.Event()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def is_paused(self) -> bool:
        """Whether the remote AE was given up, or the session interrupted: nothing more is sent."""
        return self.state is State.PAUSED

    @property
    def is_interrupted(self) -> bool:
        """Whether it was interrupted."""
        return self._cancelled.is_set()

    def perform(self, exchange: Callable[[Association], Answer], *, repeats: bool = True) -> Answer:
        """Perform an exchange, and return what it returns.

        Parameters
        ----------
        exchange : callable
            Sends a request and waits for the answer.
        repeats : bool
            Whether it is performed again on another association where the first one breaks.

        Raises
        ------
        DestinationPaused
            The remote AE was given up before.
        RemoteError
            It cannot be reached, the association broke, or it has answered with a failure.
        NoContextAccepted
            It accepts nothing of what was proposed.
        MedserverError, OSError
            A local failure.
        """
        while True:
            association = self.open()
            self._enter(Event.SEND)
            try:
                answer = exchange(association)
            except BaseException as error:
                if not self._is_repeated(error, association, repeats):
                    raise
                repeats = False
            else:
                self._enter(Event.ANSWERED)
                self.standing.answered()
                return answer

    def open(self) -> Association:
        """Return the association, opened if there is none.

        Raises
        ------
        DestinationPaused, RemoteError, NoContextAccepted
            As `perform`.
        OutOfResources
            There is no descriptor or memory for it.
        """
        if self._cancelled.is_set():
            self._pause(Event.CANCELLED)
            raise DestinationPaused("the session was interrupted")
        if self.standing.reason:
            self._pause(Event.GIVEN_UP)
            raise DestinationPaused(self.standing.reason)
        if self._association is not None and self._association.message_waiting():
            self._end_lost(self._association)
        if self._association is None:
            self._connect()
        assert self._association is not None
        return self._association

    def close(self) -> None:
        """End the session; the association is released, in the background if that takes long (PS3.8 7.2), or kept."""
        association, self._association = self._association, None
        if association is not None and self._is_kept(association):
            self._enter(Event.KEPT)
            return
        self._enter(Event.END)
        if association is not None:
            release(association, lambda: self._enter(Event.RELEASED))

    def _is_kept(self, association: Association) -> bool:
        if self._idle is None or self._keeps_while is None or self.standing.reason or self._cancelled.is_set():
            return False
        return self._idle.keep(self._address, association, self._proposals, self._keeps_while)

    def interrupt(self) -> None:
        """End what is under way, from any thread; it raises AssociationAborted there."""
        self._cancelled.set()
        association = self._association
        if association is not None:
            association.interrupt(force=True)

    def _enter(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state, event]

    def _pause(self, event: Event) -> None:
        self._drop()
        if not self.is_paused:
            self._enter(event)

    def _drop(self) -> None:
        association, self._association = self._association, None
        if association is not None:
            abort(association)

    # Connecting

    def _connect(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        if self.state is State.CLOSED:
            self._enter(Event.OPEN)
            self._association = self._taken()
        deadline = time.monotonic() + self._listens_within_s
        while self._association is None:
            try:
                self._association = associate(
                    self._address, self._proposals, self._calling_ae_title, self._limits
                )
            except NoContextAccepted as error:
                self._refusal = error
                self._enter(Event.REFUSED)
                raise
            except RemoteError as error:
                if not self._may_listen(error, deadline):
                    raise
            except BaseException:
                self._enter(Event.UNSENT)
                raise
        if self._cancelled.is_set():
            self._pause(Event.CANCELLED)
            raise AssociationAborted("the session was interrupted")
        self._enter(Event.ACCEPTED)

    def _taken(self) -> Association | None:
        """Return an association that stayed open; None if there is none, or it is for others, and is released."""
        if self._idle is None:
            return None
        if self._keeps_while is None:
            self._idle.make_room(self._address)
            return None
        return self._idle.take(self._address, self._proposals)

    def _may_listen(self, error: RemoteError, deadline: float) -> bool:
        """Wait a moment before the connection is tried again; give the remote AE up if it is not."""
        is_refused = isinstance(error, ConnectionFailed)
        is_full = isinstance(error, AssociationRejected) and error.result == REJECTED_TRANSIENT
        if not self._cancelled.is_set() and (is_refused or is_full) and time.monotonic() < deadline:
            if self.state is State.CONNECTING:
                ae_title = self._address.ae_title
                logger.info(LogEvent("not connected", destination=ae_title, tried_again=str(error)))
            self._enter(Event.BROKE)
            self._cancelled.wait(CONNECT_AGAIN_S if is_refused else REJECTED_AGAIN_S)
            return True
        if self._cancelled.is_set():
            self._enter(Event.CANCELLED)
        else:
            self._enter(Event.GIVEN_UP)
            self.standing.give_up(error)
        return False

    def _end_lost(self, association: Association) -> None:
        """End an association that the remote AE has ended, or on which it sends what nobody asked for."""
        end_lost(association)
        self._drop()
        self._enter(Event.LOST)

    # Failures

    def _is_repeated(self, error: BaseException, association: Association, repeats: bool) -> bool:
        """Tell whether an exchange that failed is to be repeated.

        Raises
        ------
        StoreFailure
            It is not, and a file of ours failed within a message.
        """
        is_answer = not isinstance(error, AssociationAborted) or isinstance(error, NoContextAccepted)
        if isinstance(error, RemoteError) and is_answer:
            self._enter(Event.ANSWERED)
            self.standing.answered()
            return False
        is_ours = isinstance(error, (MedserverError, OSError)) and not isinstance(error, (RemoteError, RequestError))
        if is_ours and association.is_established:
            self._enter(Event.UNSENT)
            return False
        self._drop()
        if self._cancelled.is_set():
            self._enter(Event.CANCELLED)
            return False
        is_cut_off = isinstance(error.__cause__, (StoreFailure, OSError))
        if isinstance(error, AssociationAborted) and not is_cut_off:
            self.standing.broke(error)
        if self.standing.reason:
            self._enter(Event.GIVEN_UP)
        elif repeats and isinstance(error, AssociationAborted):
            self._enter(Event.BROKE)
            return True
        else:
            self._enter(Event.FAILED)
        if is_cut_off:
            raise StoreFailure(str(error)) from error.__cause__
        return False
