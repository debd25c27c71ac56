"""An association: negotiation on either side, then messages in both directions.

The thread that serves the association (or that made it, on the requestor's side) is the only one that reads and
writes; `interrupt` is the only method that another thread may call.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.acse import ACSE
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association as PynetdicomAssociation
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from medserver.errors import AssociationAborted, CannotUnderstand, StoreFailure
from medserver.memory_file import MemoryFile
from medserver.wire.command_set import RESPONSE, CommandField, decode_command_set
from medserver.wire.connection import PDU_HEADER_BYTES, Connection, ConnectionEnded, DeadlineMissed
from medserver.wire.limits import WireLimits
from medserver.wire.message import Message
from medserver.wire.pdata import PDV_HEADER_BYTES, fragment_pieces, pdata_pieces
from medserver.wire.upper_layer import ASSOCIATE_PDU_LENGTH_MAX, AssociationReleased, UpperLayer

COMMAND = 0x01
LAST = 0x02

SEND_CHUNK_BYTES = 512 * 1024
"""How much of a stored file is read and handed to the network at once."""

PDU_LENGTH_UNLIMITED = 131_072
"""The PDU length that is used towards a peer that sets no limit (PS3.8 D.1)."""

logger = logging.getLogger(__name__)
_numbers = itertools.count(1)


class AcceptedContext(NamedTuple):
    """A presentation context that both sides agreed on."""

    context_id: int
    abstract_syntax: str
    transfer_syntax_uid: str
    as_scu: bool
    as_scp: bool


class _NoMessages(DIMSEServiceProvider):
    """Takes what the state machine passes up as P-DATA: what comes behind our release request (PS3.8 9.2, AR-6).

    Nobody waits for it. Messages are read by `Association.next_message`.
    """

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Drop it."""


class Association(PynetdicomAssociation):
    """One association, served by one thread.

    Parameters
    ----------
    mode : str
        'requestor' or 'acceptor'.
    limits : WireLimits
        Timeouts and sizes.
    accepted : socket.socket or None
        The accepted connection when this side is the acceptor.

    Attributes
    ----------
    association_id : str
        What log lines call this association.
    contexts : dict of int to AcceptedContext
        The accepted presentation contexts once the association is established.
    connection_error : OSError or None
        Why the connection could not be opened.
    interrupted : bool
        Whether `interrupt` was called.
    """

    def __init__(self, mode: str, limits: WireLimits, accepted=None) -> None:
        super().__init__(_local_ae(limits), mode)
        self.limits = limits
        self.association_id = f"{os.getpid()}-{next(_numbers)}"
        self.pdu_length_max = limits.pdu_length_max
        self.contexts: dict[int, AcceptedContext] = {}
        self.connection_error: OSError | None = None
        self.dimse = _NoMessages(self)
        self.dul = UpperLayer(self)
        self.acse = ACSE(self)
        self.connection_timeout = limits.connection_timeout_s
        self.acse_timeout = limits.acse_timeout_s
        self.dimse_timeout = limits.dimse_timeout_s
        self.network_timeout = limits.network_timeout_s
        self.dul.socket = Connection(
            self, accepted, PDU_HEADER_BYTES + max(limits.pdu_length_max, ASSOCIATE_PDU_LENGTH_MAX)
        )
        self.interrupted = False
        self._pdvs = memoryview(b"")
        self._message: Message | None = None
        self._held: Message | None = None
        self._cancelled: set[int] = set()

    @property
    def connection(self) -> Connection:
        """Return the transport connection."""
        return self.dul.socket

    @property
    def is_acceptor(self) -> bool:
        """Tell whether the peer asked for the association."""
        return self.mode == MODE_ACCEPTOR

    def _bind_defaults(self) -> None:
        """Bind no handlers.

        Those of pynetdicom format every PDU for a log that nobody reads, and stumble over what hostile PDUs lack.
        """

    # -- the course of an association ----------------------------------------------------------------------

    def index_contexts(self) -> None:
        """Make `contexts` from what was negotiated."""
        self.contexts = {
            context_id: AcceptedContext(
                context_id,
                str(context.abstract_syntax),
                str(context.transfer_syntax[0]),
                bool(context.as_scu),
                bool(context.as_scp),
            )
            for context_id, context in self._accepted_cx.items()
        }

    def answer_release(self) -> None:
        """Answer an A-RELEASE request of the peer (PS3.8 7.2.2)."""
        self.acse.send_release(is_response=True)
        self.is_released, self.is_established = True, False
        evt.trigger(self, evt.EVT_RELEASED, {})

    def release(self) -> None:
        """Release the association in order and close the connection."""
        if self.is_established:
            self._pdvs = memoryview(b"")
            self.acse.negotiate_release()
        self.dul.finish()

    def abort(self, block: bool = True) -> None:
        """Abort as the service user (PS3.8 7.3)."""
        self._abort(lambda: self.acse.send_abort(0x00))

    def abort_as_provider(self, reason: int = 0x00) -> None:
        """Abort as the service provider, with a reason of PS3.8 9.3.8."""
        self._abort(lambda: self.acse.send_ap_abort(reason))

    def _abort(self, send) -> None:
        if not self._sent_abort and not self.is_released:
            self._sent_abort = True
            send()
            evt.trigger(self, evt.EVT_ABORTED, {})
        self.is_aborted, self.is_established = True, False

    def interrupt(self, force: bool = False) -> None:
        """End the association from any thread: the serving thread wakes up and aborts it.

        Parameters
        ----------
        force : bool
            Wake it up also where it waits for the peer to take its bytes; the peer then gets no A-ABORT.
        """
        self.interrupted = True
        self.connection.interrupt(force)

    # -- receiving -----------------------------------------------------------------------------------------

    def next_message(self, timeout_s: float | None = None) -> Message | None:
        """Return the next message, or None when the peer has released the association.

        What is left of the data set of the message before is dropped first.

        Parameters
        ----------
        timeout_s : float, optional
            How long to wait for it; the network timeout by default.

        Raises
        ------
        AssociationAborted
            The association ended in any other way.
        """
        try:
            if self._message is not None and not self._message.drain(self.limits.drain_max_bytes):
                self.abort_as_provider()
                raise AssociationAborted("the peer goes on with a data set that was refused")
            message, self._held = self._held, None
            self._cancelled.clear()
            self._message = message or self._read_command(self._deadline(timeout_s))
        except AssociationReleased:
            return None
        return self._message

    def message_waiting(self, timeout_s: float = 0.0) -> bool:
        """Tell whether a message, or the end of the association, can be read within some time [s]."""
        return self._held is not None or len(self._pdvs) > 0 or self.connection.readable(timeout_s)

    def wait_response(self, command_field: CommandField, message_id: int, timeout_s: float) -> Message:
        """Return the response to a request of ours in the midst of an operation of the peer.

        That is how the sub-operations of a C-GET are answered (PS3.4 C.4.3.1); a C-CANCEL that arrives meanwhile
        is noted for `cancel_requested`.

        Raises
        ------
        AssociationAborted
            The association ended, or the peer sent something else.
        """
        while True:
            try:
                message = self._read_command(self._deadline(timeout_s))
            except AssociationReleased:
                raise AssociationAborted("the peer released the association during an operation") from None
            if message.command_field == CommandField.C_CANCEL:
                self._cancelled.add(message.message_id)
            elif message.command_field == command_field | RESPONSE and message.message_id == message_id:
                return message
            else:
                self.abort()
                raise AssociationAborted("the peer did not answer the sub-operation")

    def cancel_requested(self, message_id: int) -> bool:
        """Tell whether a C-CANCEL for the message has arrived, without waiting (PS3.7 9.3.2.3).

        A request that arrives instead is kept for `next_message`; nothing is read beyond it.
        """
        try:
            while self._held is None and (len(self._pdvs) > 0 or self.connection.readable()):
                message = self._read_command(self._deadline(None))
                if message.command_field != CommandField.C_CANCEL:
                    self._held = message
                elif message.message_id == message_id:
                    self._cancelled.add(message_id)
        except AssociationReleased:
            raise AssociationAborted("the peer released the association during an operation") from None
        return message_id in self._cancelled

    def _deadline(self, timeout_s: float | None) -> float:
        return time.monotonic() + (self.network_timeout if timeout_s is None else timeout_s)

    def _read_command(self, deadline: float) -> Message:
        """Read a whole command set (PS3.7 6.3.1, PS3.8 E.2)."""
        raw = b""
        while True:
            context_id, control, value = self._next_pdv(deadline)
            if not control & COMMAND or len(raw) + len(value) > self.limits.command_set_size_max_bytes:
                self._refuse_pdv("a command set was expected")
            raw += value
            if control & LAST:
                break
            deadline = self._deadline(None)
        try:
            command_set = decode_command_set(raw)
        except CannotUnderstand as error:
            self._refuse_pdv(str(error))
        return Message(context_id, command_set, self._fragment_reader(context_id))

    def _fragment_reader(self, expected_context_id: int):
        """Return a function that returns the next fragment of the data set, None behind the last."""
        complete = False

        def read_fragment() -> memoryview | None:
            nonlocal complete
            if complete:
                return None
            try:
                context_id, control, value = self._next_pdv(self._deadline(None))
            except AssociationReleased:
                raise AssociationAborted("the peer released the association within a data set") from None
            if control & COMMAND or context_id != expected_context_id:
                self._refuse_pdv("a fragment of the data set was expected")
            complete = bool(control & LAST)
            return value

        return read_fragment

    def _next_pdv(self, deadline: float) -> tuple[int, int, memoryview]:
        """Return context ID, message control header and fragment of the next PDV (PS3.8 9.3.5.1)."""
        if len(self._pdvs) == 0:
            self._pdvs = self.dul.read_p_data(deadline)
        pdvs = self._pdvs
        length = int.from_bytes(pdvs[:4], "big")
        if len(pdvs) < PDV_HEADER_BYTES or not 2 <= length <= len(pdvs) - 4:
            self._refuse_pdv("the length of a presentation data value is wrong")
        context_id, control = pdvs[4], pdvs[5]
        if context_id not in self.contexts:
            self._refuse_pdv("the presentation context was not accepted")
        self._pdvs = pdvs[4 + length :]
        return context_id, control, pdvs[PDV_HEADER_BYTES : 4 + length]

    def _refuse_pdv(self, reason: str) -> None:
        """Abort with 'invalid PDU parameter value' (PS3.8 9.3.8)."""
        self._pdvs = memoryview(b"")
        self.abort_as_provider(0x06)
        raise AssociationAborted(reason)

    # -- sending -------------------------------------------------------------------------------------------

    @property
    def pdu_length_to_peer(self) -> int:
        """Return the length of the PDUs that the peer receives (PS3.8 D.1)."""
        peer = self.requestor if self.is_acceptor else self.acceptor
        return min(peer.maximum_length or PDU_LENGTH_UNLIMITED, PDU_LENGTH_UNLIMITED)

    def send_message(self, context_id: int, command_set: bytes, data_set: bytes | None = None) -> None:
        """Send a message that is in memory.

        Raises
        ------
        AssociationAborted
            The association has ended or ends here: the peer does not take its bytes.
        """
        pieces = pdata_pieces(context_id, command_set, True, self.pdu_length_to_peer)
        if data_set is not None:
            pieces += pdata_pieces(context_id, data_set, False, self.pdu_length_to_peer)
        self.write(pieces)

    def send_messages(self, pieces: list[bytes]) -> None:
        """Send PDUs that were encoded before, many at once."""
        self.write(pieces)

    def send_file(self, context_id: int, command_set: bytes, data_set: BinaryIO, size_bytes: int) -> None:
        """Send a message whose data set is the next `size_bytes` of a file.

        Raises
        ------
        AssociationAborted
            The association has ended, or the file ended early or failed: a started message cannot be taken back.
        StoreFailure, OSError
            The file failed before anything of the message was sent.
        """
        length = self.pdu_length_to_peer
        pieces = pdata_pieces(context_id, command_set, True, length)
        started = False
        try:
            for chunk, is_last in _chunks(data_set, size_bytes, length):
                if chunk is None:
                    raise StoreFailure("the stored file is shorter than the index says")
                started = True
                self.write(pieces + fragment_pieces(context_id, chunk, is_last, length))
                pieces = []
        except (StoreFailure, OSError) as error:
            if not started:
                raise
            self.abort()
            raise AssociationAborted(f"a data set could not be sent to its end: {error}") from error

    def write(self, pieces: list[bytes | memoryview]) -> None:
        """Send encoded P-DATA-TF PDUs (PS3.8 9.2, DT-1)."""
        if not self.is_established:
            raise AssociationAborted("the association has ended")
        try:
            self.connection.write(pieces)
        except ConnectionEnded as error:
            self.is_aborted, self.is_established = True, False
            raise AssociationAborted(f"the connection ended: {error}") from None
        except DeadlineMissed:
            self.is_aborted, self.is_established = True, False
            self.connection.close()
            raise AssociationAborted("the peer does not read") from None


def _chunks(data_set: BinaryIO, size_bytes: int, pdu_length: int) -> Iterator[tuple[memoryview | None, bool]]:
    """Yield the file in chunks of whole PDUs, each with whether it is the last; None where it ends early.

    What is in memory comes at once.
    """
    fragment = pdu_length - PDV_HEADER_BYTES
    if isinstance(data_set, MemoryFile):
        chunk = data_set.take(size_bytes)
        yield (chunk if len(chunk) == size_bytes else None), True
        return
    room = memoryview(bytearray(min(max(SEND_CHUNK_BYTES // fragment, 1) * fragment, max(size_bytes, 1))))
    remaining = size_bytes
    while True:
        wanted = min(len(room), remaining)
        count = data_set.readinto(room[:wanted]) if wanted else 0
        if count != wanted:
            yield None, True
            return
        remaining -= count
        yield room[:count], remaining == 0
        if remaining == 0:
            return


_LOCAL_AES: dict[WireLimits, ApplicationEntity] = {}


def _local_ae(limits: WireLimits) -> ApplicationEntity:
    """Return the object in which pynetdicom looks up its defaults; one for each set of limits."""
    if limits not in _LOCAL_AES:
        ae = ApplicationEntity()
        ae.acse_timeout = limits.acse_timeout_s
        ae.dimse_timeout = limits.dimse_timeout_s
        ae.network_timeout = limits.network_timeout_s
        ae.maximum_pdu_size = limits.pdu_length_max
        _LOCAL_AES[limits] = ae
    return _LOCAL_AES[limits]
