"""The upper layer of one association: performs the actions of the state machine on a connection (PS3.8 9.2).

The thread of the association drives it: it gives an event, and gets what that indicates to the local user. There is no
queue and no thread in between. P-DATA in state 6 goes a way of its own, see `UpperLayer.read_p_data`.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from contextlib import nullcontext

from pynetdicom.pdu_primitives import A_P_ABORT, A_RELEASE

from medserver.config import Security
from medserver.errors import AssociationAborted
from medserver.wire.connection import (
    PDU_HEADER_BYTES,
    Connection,
    ConnectionEnded,
    DeadlineMissed,
    PDUTooLong,
)
from medserver.wire.control_pdus import (
    DECODERS,
    REASON_NOT_SPECIFIED,
    RELEASE_RP,
    RELEASE_RQ,
    SERVICE_PROVIDER,
    SERVICE_USER,
    UNEXPECTED_PDU,
    UNRECOGNIZED_PDU,
    encode_abort,
    provider_abort,
)
from medserver.wire.limits import WireLimits
from medserver.wire.state_machine import (
    ACTIONS,
    COLLISION_STATE_OF_ACCEPTOR,
    RECEIVED,
    TRANSITIONS,
    Event,
    PDUType,
    State,
    Timer,
)
from medserver.wire.transport import PlainTransport, Transport

ASSOCIATE_PDU_LENGTH_MAX = 262_144
"""The longest A-ASSOCIATE PDU that is read: 128 contexts of 60 transfer syntaxes fit."""

LINGER_S = 1.0
"""How long a peer has to close the connection after a release or an abort."""

LARGE_PDU_BYTES = 16 * 1024

_ENDED = (State.STA1, State.STA13)

_ABORT_REASONS = {
    Event.TRANSPORT_CLOSED: REASON_NOT_SPECIFIED,
    Event.INVALID_PDU_RECEIVED: UNRECOGNIZED_PDU,
}
"""Why the service provider aborts at an event, where it is not an unexpected PDU (PS3.8 9.3.8)."""

_turns = threading.Lock()
"""Association requests that are large are decoded one at a time: many at once would keep each other, and everybody
else, waiting for the interpreter. Those of ordinary peers are smaller, and never wait here."""

logger = logging.getLogger(__name__)


class AssociationReleased(Exception):
    """The peer released the association; the answer has been sent."""


class UpperLayer:
    """The upper layer of one association, driven by the thread of the association.

    Parameters
    ----------
    limits : WireLimits
        Timeouts and sizes.
    accepted : Transport, optional
        The accepted connection when this side is the acceptor; without it `connect` opens one.

    Attributes
    ----------
    state : State
        The state of the state machine.
    connection : Connection or None
        None before there is one.
    artim_deadline : float
        The monotonic time at which the ARTIM timer expires; infinite while it does not run (PS3.8 9.1.5).
    problem : str or None
        What was wrong with the last PDU that could not be read, or how the connection ended instead.
    is_released : bool
        Whether the association was released, by either side.
    interrupted : bool
        Whether it is ended from this side, see `interrupt`.
    """

    def __init__(self, limits: WireLimits, accepted: Transport | None = None) -> None:
        self.state = State.STA1
        self.connection: Connection | None = None
        self.problem: str | None = None
        self.is_released = False
        self.interrupted = False
        self._limits = limits
        self._is_acceptor = accepted is not None
        self.artim_deadline = math.inf
        if accepted is not None:
            self.connection = self._connection_on(accepted)
            self.act(Event.TRANSPORT_INDICATION)

    def _connection_on(self, transport: Transport) -> Connection:
        room = PDU_HEADER_BYTES + max(self._limits.pdu_length_max, ASSOCIATE_PDU_LENGTH_MAX)
        return Connection(transport, room, self._limits.network_timeout_s)

    # -- the state machine -----------------------------------------------------------------------------------------

    def act(self, event: Event, pdu: bytes = b"", primitive: object = None) -> object | None:
        """Perform the action of an event in this state, if there is one (PS3.8 9.2).

        Parameters
        ----------
        event : Event
            What happened.
        pdu : bytes
            The PDU that is to be sent, for what the local user asks.
        primitive : object
            What a PDU that was received says.

        Returns
        -------
        object or None
            The primitive that is indicated to the local user: the given one, or an A-P-ABORT.
        """
        name = TRANSITIONS.get((self.state, event))
        if name is None:  # such as a release after an abort, or the end of a connection that has ended
            logger.debug("%s is not allowed in %s", event.name, self.state.name)
            return None
        action = ACTIONS[name]
        self.state = COLLISION_STATE_OF_ACCEPTOR if name == "AR-8" and self._is_acceptor else action.next_state
        if action.timer is not None:
            self.set_timer(action.timer)
        source, reason = SERVICE_USER, REASON_NOT_SPECIFIED
        if action.indicates is A_P_ABORT:
            source, reason = SERVICE_PROVIDER, _ABORT_REASONS.get(event, UNEXPECTED_PDU)
            primitive = provider_abort(reason)
        if action.sends is not None and not self._send(pdu or encode_abort(source, reason)):
            return self.act(Event.TRANSPORT_CLOSED) or primitive
        if action.closes and self.connection is not None:
            self.connection.close()
        return primitive if action.indicates is not None else None

    def set_timer(self, change: Timer) -> None:
        """Start or stop the ARTIM timer."""
        starts = change is Timer.START
        self.artim_deadline = time.monotonic() + self._limits.acse_timeout_s if starts else math.inf

    def _send(self, pdu: bytes) -> bool:
        """Send a PDU; tell whether the connection is still there."""
        try:
            self.connection.write([pdu])
        except (ConnectionEnded, DeadlineMissed) as error:
            logger.debug("a PDU could not be sent: %s", error)
            return False
        return True

    def receive_pdu(self, pdu: bytes) -> object | None:
        """Perform the action of a PDU that was received; return what that indicates."""
        event = RECEIVED.get(pdu[0])
        if event is None:
            return self._receive_invalid(f"there is no PDU of type {pdu[0]:02X}")
        try:
            primitive = self._decode(event, pdu)
        except Exception as error:  # pynetdicom's decoders raise whatever hostile bytes lead them to
            return self._receive_invalid(
                f"a PDU of type {pdu[0]:02X} cannot be decoded: {type(error).__name__}"
            )
        return self.act(event, primitive=primitive)

    def _decode(self, event: Event, pdu: bytes) -> object:
        """Decode a PDU, unless it is long and its type alone says what follows in this state."""
        kind = PDUType(pdu[0])
        if kind is PDUType.P_DATA_TF:
            return None
        name = TRANSITIONS.get((self.state, event))
        is_used = name is not None and ACTIONS[name].indicates not in (None, A_P_ABORT)
        if kind in (PDUType.ASSOCIATE_RQ, PDUType.ASSOCIATE_AC) and not is_used:
            return None
        with _turns if len(pdu) > LARGE_PDU_BYTES else nullcontext():
            return DECODERS[kind](pdu)

    def _receive_invalid(self, problem: str) -> object | None:
        """Perform the action of an unrecognised or invalid PDU."""
        self.problem = problem
        return self.act(Event.INVALID_PDU_RECEIVED)

    # -- association control -----------------------------------------------------------------------------------------

    def connect(self, host: str, port: int, security: Security = Security()) -> None:
        """Open the transport connection (PS3.8 9.2.3, AE-1); every address of the host is tried.

        Parameters
        ----------
        security : Security
            Whether TLS is required, and by what certificate the remote AE is recognised then.

        Raises
        ------
        OSError
            It cannot be opened, or somebody else listens there.
        """
        self.act(Event.ASSOCIATE_REQUEST)
        try:
            sock = socket.create_connection((host, port), timeout=self._limits.connection_timeout_s)
            transport: Transport = PlainTransport(sock)
            if security.is_required:
                from medserver.wire import tls_transport  # with pyOpenSSL, which not every node has

                deadline = time.monotonic() + self._limits.connection_timeout_s
                transport = tls_transport.call(sock, security, host, deadline)
        except OSError:
            self.act(Event.TRANSPORT_CLOSED)
            raise
        self.connection = self._connection_on(transport)

    def receive(self, deadline: float = math.inf) -> object | None:
        """Return what is next indicated to the local user.

        Returns
        -------
        object or None
            A primitive; None when none came in time, or when none will come any more.
        """
        # In state 13 nothing more is for the local user: `close` waits for the connection to end.
        while self.state not in _ENDED and time.monotonic() < deadline:
            primitive = self.receive_event(deadline)
            if primitive is not None:
                return primitive
        return None

    def receive_event(self, deadline: float) -> object | None:
        """Read one PDU, or the end of the connection; return what that indicates, None if it is not here in time."""
        try:
            pdu = self.connection.read_pdu(
                ASSOCIATE_PDU_LENGTH_MAX, min(deadline, self.artim_deadline), self._limits.acse_timeout_s
            )
        except DeadlineMissed:
            return self.act(Event.ARTIM_EXPIRED) if time.monotonic() >= self.artim_deadline else None
        except ConnectionEnded as error:
            self.problem = str(error)
            return self.act(Event.TRANSPORT_CLOSED)
        except PDUTooLong as error:
            return self._receive_invalid(str(error))
        return self.receive_pdu(bytes(pdu))

    def release(self) -> None:
        """Release the association (PS3.8 7.2); it is aborted if the peer does not answer."""
        deadline = time.monotonic() + self._limits.acse_timeout_s
        indicated = self.act(Event.RELEASE_REQUEST, RELEASE_RQ)
        while self.state not in _ENDED:
            indicated = self.receive(deadline)
            if indicated is None:
                self.abort(SERVICE_USER)
            elif self.state in (State.STA9, State.STA12):  # both asked at the same time (PS3.8 7.2.2.7)
                self.act(Event.RELEASE_RESPONSE, RELEASE_RP)
        self.is_released = self.is_released or isinstance(indicated, A_RELEASE)

    def abort(self, source: int, reason: int = REASON_NOT_SPECIFIED) -> None:
        """Abort the association (PS3.8 7.3), with source and reason of PS3.8 9.3.8."""
        self.act(Event.ABORT_REQUEST, encode_abort(source, reason))

    def close(self, linger_s: float = LINGER_S) -> None:
        """Close the connection, giving the peer a moment to do so first (PS3.8 9.2.1, state 13).

        What it still sends is dropped unread (AA-6), also where AA-7 would send another A-ABORT: a peer that is in
        the midst of a data set would be answered by thousands.
        """
        if self.connection is not None:
            if self.state is State.STA13 and linger_s > 0:
                self.connection.linger(linger_s)
            self.connection.close()
        self.act(Event.TRANSPORT_CLOSED)

    def interrupt(self, force: bool = False) -> None:
        """End the association from any thread: its own wakes up and aborts it.

        Parameters
        ----------
        force : bool
            Wake it up also where it waits for the peer to take its bytes; the peer then gets no A-ABORT.
        """
        self.interrupted = True
        if self.connection is not None:
            self.connection.interrupt(force)

    # -- P-DATA in state 6 -------------------------------------------------------------------------------------------

    def read_p_data(self, header_deadline: float) -> memoryview:
        """Return the presentation data values of the next P-DATA-TF PDU (PS3.8 9.3.5).

        Every other PDU goes through the state machine.

        Raises
        ------
        AssociationReleased
            The peer released the association.
        AssociationAborted
            The peer or this side aborted, the connection ended, or the peer was too slow.
        """
        if self.state is not State.STA6:
            raise AssociationAborted("the association has ended")
        try:
            pdu = self.connection.read_pdu(
                self._limits.pdu_length_max, header_deadline, self._limits.network_timeout_s
            )
        except ConnectionEnded as error:
            if self.interrupted:
                self.abort(SERVICE_PROVIDER)
                raise AssociationAborted("the association was ended here") from None
            self.act(Event.TRANSPORT_CLOSED)
            raise AssociationAborted(f"the connection ended: {error}") from None
        except (DeadlineMissed, PDUTooLong) as error:
            self.abort(SERVICE_PROVIDER)
            raise AssociationAborted(str(error)) from None
        if pdu[0] == PDUType.P_DATA_TF:
            return pdu[PDU_HEADER_BYTES:]
        if isinstance(self.receive_pdu(bytes(pdu)), A_RELEASE):
            self.act(Event.RELEASE_RESPONSE, RELEASE_RP)
            self.is_released = True
            raise AssociationReleased
        problem = "the peer aborted the association"
        raise AssociationAborted(problem if pdu[0] == PDUType.ABORT else "the peer broke the upper layer protocol")

    def write_p_data(self, pieces: list[bytes | memoryview]) -> None:
        """Send encoded P-DATA-TF PDUs (PS3.8 9.2, DT-1).

        Raises
        ------
        AssociationAborted
            The association has ended or ends here: the peer does not take its bytes.
        """
        if self.state is not State.STA6:
            raise AssociationAborted("the association has ended")
        try:
            self.connection.write(pieces)
        except ConnectionEnded as error:
            self.act(Event.TRANSPORT_CLOSED)
            raise AssociationAborted(f"the connection ended: {error}") from None
        except DeadlineMissed:
            self.act(Event.TRANSPORT_CLOSED)
            raise AssociationAborted("the peer does not read") from None
