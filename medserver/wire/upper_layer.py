"""The upper layer protocol provider without a thread of its own (PS3.8 9.2).

pynetdicom's provider is a thread that polls every millisecond. This one works in the thread that uses it: a
primitive that is given to it goes through the state machine and out at once, and whoever waits for something to
come in waits for the socket. P-DATA, which is all but a handful of PDUs, passes by the queues: `read_p_data`.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from contextlib import nullcontext

from pynetdicom import evt
from pynetdicom.dul import _PDU_TYPES, DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RQ, PDU
from pynetdicom.pdu import P_DATA_TF as P_DATA_TF_PDU
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, A_RELEASE

from medserver.errors import AssociationAborted
from medserver.wire.associate_request import AssociateRequest
from medserver.wire.connection import (
    PDU_HEADER_BYTES,
    Connection,
    ConnectionEnded,
    DeadlineMissed,
    PDUTooLong,
)
from medserver.wire.timer import MonotonicTimer

ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA_TF = 0x01, 0x02, 0x04
KNOWN_PDU_TYPES = frozenset(range(0x01, 0x08))
ASSOCIATE_PDU_LENGTH_MAX = 262_144
"""The longest A-ASSOCIATE PDU that is read: 128 contexts of 60 transfer syntaxes fit."""

PROTOCOL_VERSION = 1

LINGER_S = 1.0
"""How long a peer has to close the connection after a release or an abort."""

_SERVICE_USER, _SERVICE_PROVIDER = 0, 2
_REASONS = frozenset({0, 1, 2, 4, 5, 6})
"""Source and Reason/Diag. of an A-ABORT PDU, without what is reserved (PS3.8 9.3.8)."""

_STATES_OF_USE = {ASSOCIATE_RQ: ("Sta2",), ASSOCIATE_AC: ("Sta5",), P_DATA_TF: ("Sta6", "Sta7")}
"""In which states the PDUs that can be long are more than a mistake of the peer."""

LARGE_PDU_BYTES = 16 * 1024

_turns = threading.Lock()
"""Association requests that are large are decoded one at a time: many at once would keep each other, and everybody
else, waiting for the interpreter. Those of ordinary peers are smaller, and never wait here."""

logger = logging.getLogger(__name__)


class AssociationReleased(Exception):
    """The peer released the association; the answer has been sent."""


class UpperLayer(DULServiceProvider):
    """The upper layer of one association, driven by the thread of the association.

    Attributes
    ----------
    problem : str or None
        What was wrong with the last PDU that could not be read.
    """

    socket: Connection

    def __init__(self, association) -> None:
        super().__init__(association)
        self.artim_timer = MonotonicTimer(association.acse_timeout)
        self._idle_timer = MonotonicTimer(association.network_timeout)
        self._driving = threading.RLock()
        self.problem: str | None = None

    # -- what pynetdicom's Association and ACSE call ---------------------------------------------------------

    def start(self) -> None:
        """Do nothing: there is no thread to start."""
        self.assoc._dul_ready.set()

    def is_alive(self) -> bool:
        """Tell whether the state machine still works."""
        return not self._kill_thread

    def stop_dul(self) -> bool:
        """Stop for good."""
        self._kill_thread = True
        return True

    def send_pdu(self, primitive) -> None:
        """Send a primitive through the state machine, now."""
        with self._driving:
            super().send_pdu(primitive)
            self._drive()

    def receive_pdu(self, wait: bool = False, timeout: float | None = None):
        """Return the next primitive for the service user; None when none came in time."""
        deadline = time.monotonic() + (self.assoc.network_timeout if timeout is None else timeout)
        # In state 13 nothing more is for the service user: `finish` waits for the connection to close.
        while self.to_user_queue.empty() and self.is_alive() and self.state_machine.current_state != "Sta13":
            if not wait and not self.socket.readable():
                return None
            if not self._receive_event(deadline):
                return None
        return super().receive_pdu(wait=False)

    # -- the reactor ---------------------------------------------------------------------------------------

    def _drive(self) -> None:
        """Let the state machine act on everything that has been given to it."""
        while True:
            waiting = self._waiting_primitive()
            if waiting is not None:
                self._process_recv_primitive()
            try:
                event = self.event_queue.get_nowait()
            except queue.Empty:
                return
            self._act(event)
            if waiting is not None and self._waiting_primitive() is waiting:
                self.to_provider_queue.get_nowait()  # the state had no use for it

    def _waiting_primitive(self):
        waiting = self.to_provider_queue.queue
        return waiting[0] if waiting else None

    def _act(self, event: str) -> None:
        state = self.state_machine.current_state
        if (event, state) in TRANSITION_TABLE:
            self.state_machine.do_action(event)
        else:
            # What the state has no use for, such as a release after an abort or the end of an ended connection.
            logger.debug("%s in %s is not allowed", event, state)

    def _receive_event(self, deadline: float) -> bool:
        """Read one PDU into the state machine; False when the deadline passed without one."""
        self._drive()  # the state decides on what is decoded: an accepted connection is an event as well
        try:
            pdu = self.socket.read_pdu(ASSOCIATE_PDU_LENGTH_MAX, deadline, self.assoc.acse_timeout)
        except DeadlineMissed:
            if self.artim_timer.expired:
                self.event_queue.put("Evt18")
                self._drive()
            return False
        except ConnectionEnded:
            self.socket.close()
            self._drive()
            return True
        except PDUTooLong as error:
            self._refuse(str(error))
            self._drive()
        else:
            with _turns if len(pdu) > LARGE_PDU_BYTES else nullcontext():
                self._queue_pdu(pdu)
                self._drive()
        return True

    def _queue_pdu(self, pdu: memoryview) -> None:
        """Decode a PDU and put its event before the state machine (Evt19 if it is not one)."""
        raw = bytes(pdu)
        if raw[0] not in KNOWN_PDU_TYPES:
            self._refuse(f"there is no PDU of type {raw[0]:02X}")
            return
        try:
            decoded, event = self._decode_pdu(raw)
        except Exception as error:  # pynetdicom's decoders raise whatever hostile bytes lead them to
            self._refuse(f"a PDU of type {raw[0]:02X} cannot be decoded: {type(error).__name__}")
            return
        self._recv_pdu.put(decoded)
        self.event_queue.put(event)

    def _decode_pdu(self, bytestream: bytes) -> tuple[PDU, str]:
        """Decode a PDU, unless it comes in a state in which its type alone ends the association (PS3.8 9.2.3)."""
        kind, event = _PDU_TYPES[bytestream[:1]]
        states = _STATES_OF_USE.get(bytestream[0])
        if states is not None and self.state_machine.current_state not in states:
            return PDU(), event
        if kind is not A_ASSOCIATE_RQ:
            pdu, event = super()._decode_pdu(bytearray(bytestream))
            if kind is A_ABORT_RQ:
                _pass_over_reserved(pdu)
            if kind is not P_DATA_TF_PDU:
                # Here, where a complaint is about the peer and not about us.
                primitive = pdu.to_primitive()
                pdu.to_primitive = lambda: primitive
            return pdu, event
        evt.trigger(self.assoc, evt.EVT_DATA_RECV, {"data": bytestream})
        pdu = AssociateRequest()
        pdu.decode(bytestream)
        if pdu.protocol_version != PROTOCOL_VERSION:
            self.problem = f"protocol version {pdu.protocol_version}"
        evt.trigger(self.assoc, evt.EVT_PDU_RECV, {"pdu": pdu})
        return pdu, event

    def _refuse(self, problem: str) -> None:
        """Put the event of an unrecognised or invalid PDU before the state machine."""
        self.problem = problem
        self.event_queue.put("Evt19")

    # -- the fast path: P-DATA in state 6 --------------------------------------------------------------------

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
        while True:
            try:
                pdu = self.socket.read_pdu(
                    self.assoc.pdu_length_max, header_deadline, self.assoc.network_timeout
                )
            except ConnectionEnded as error:
                if self.assoc.interrupted:
                    self.assoc.abort_as_provider()
                    raise AssociationAborted("the association was ended here") from None
                self.socket.close()
                self._drive()
                self._end_as_told()
                raise AssociationAborted(f"the connection ended: {error}") from None
            except (DeadlineMissed, PDUTooLong) as error:
                self.assoc.abort_as_provider()
                raise AssociationAborted(str(error)) from None
            if pdu[0] == P_DATA_TF and self.state_machine.current_state == "Sta6":
                return pdu[PDU_HEADER_BYTES:]
            self._queue_pdu(pdu)
            self._drive()
            self._end_as_told()

    def _end_as_told(self) -> None:
        """Act on what the state machine passed up: a release, an abort, or nothing."""
        primitive = super().receive_pdu(wait=False)
        if isinstance(primitive, A_RELEASE):
            self.assoc.answer_release()
            raise AssociationReleased
        if isinstance(primitive, (A_ABORT, A_P_ABORT)) or self._kill_thread:
            self.assoc.is_aborted, self.assoc.is_established = True, False
            raise AssociationAborted("the peer aborted the association")
        if isinstance(primitive, A_ASSOCIATE) or self.state_machine.current_state != "Sta6":
            self.assoc.is_aborted, self.assoc.is_established = True, False
            raise AssociationAborted("the peer broke the upper layer protocol")

    def finish(self) -> None:
        """Close the connection, giving the peer a moment to do so first (PS3.8 9.2.1, state 13).

        What it still sends is dropped unread (AA-6), also where AA-7 would send another A-ABORT: a peer that is in
        the midst of a data set would be answered by thousands.
        """
        with self._driving:
            if self.socket is not None and self.socket.socket is not None:
                if self.state_machine.current_state == "Sta13":
                    self.socket.linger(LINGER_S)
                else:
                    self.socket.close()
            self._drive()
            self._kill_thread = True


def _pass_over_reserved(abort: A_ABORT_RQ) -> None:
    """Take reserved values as the ones that say nothing: whoever sends them aborts all the same."""
    if abort.source != _SERVICE_PROVIDER:
        abort.source = _SERVICE_USER
    elif abort.reason_diagnostic not in _REASONS:
        abort.reason_diagnostic = 0
