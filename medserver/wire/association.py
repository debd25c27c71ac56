"""An association: negotiation on either side, then messages in both directions.

The thread that serves the association (or that made it, on the requestor's side) is the only one that reads and
writes; `interrupt` is the only method that another thread may call.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from medserver.errors import AssociationAborted, CannotUnderstand, StoreFailure
from medserver.memory_file import MemoryFile
from medserver.wire.command_set import RESPONSE, CommandField, decode_command_set
from medserver.wire.connection import Connection
from medserver.wire.control_pdus import INVALID_PDU_PARAMETER_VALUE, SERVICE_PROVIDER, SERVICE_USER
from medserver.wire.limits import WireLimits
from medserver.wire.message import Message
from medserver.wire.pace import Pace
from medserver.wire.pdata import PDV_HEADER_BYTES, fragment_bytes, fragment_pieces, pdata_pieces
from medserver.wire.state_machine import PDUType, State
from medserver.wire.transport import Transport
from medserver.wire.upper_layer import AssociationReleased, UpperLayer

COMMAND = 0x01
LAST = 0x02

SEND_CHUNK_BYTES = 512 * 1024
"""How much of a stored file is read and handed to the network at once."""

LOOK_S = 0.2
"""How long is waited for the pace at most between two looks whether to stop."""

PDU_LENGTH_UNLIMITED = 131_072
"""The PDU length that is used towards a peer that sets no limit (PS3.8 D.1)."""

_numbers = itertools.count(1)


class AcceptedContext(NamedTuple):
    """A presentation context that both sides agreed on."""

    context_id: int
    abstract_syntax: str
    transfer_syntax_uid: str
    as_scu: bool
    as_scp: bool


@dataclass
class Partner:
    """What is known of one side of an association.

    Attributes
    ----------
    ae_title : str
        Its AE title.
    address : str
        Its network address; of the acceptor as it was called.
    maximum_length : int
        The longest PDU that it receives; 0 for any (PS3.8 D.1).
    implementation_class_uid, implementation_version_name : str
        Empty if it does not say.
    roles : mapping of str to (bool, bool)
        The roles of SCU and SCP that the acceptor agreed to, by SOP class; without those it is silent about.
    extended : mapping of str to bytes
        What SOP Class Extended Negotiation agreed on, by SOP class.
    """

    ae_title: str = ""
    address: str = ""
    maximum_length: int = 0
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    extended: Mapping[str, bytes] = field(default_factory=dict)


class Association:
    """One association, served by one thread.

    Parameters
    ----------
    limits : WireLimits
        Timeouts and sizes.
    accepted : Transport, optional
        The accepted connection when this side is the acceptor.

    Attributes
    ----------
    association_id : str
        What log lines call this association.
    requestor, acceptor : Partner
        Both sides.
    contexts : dict of int to AcceptedContext
        The accepted presentation contexts once the association is established.
    opened_at : float
        When it was made, on the monotonic clock.
    upper_layer : UpperLayer
        The state machine.
    pace : Pace or None
        How fast data sets are sent; None for as fast as the peer takes them.
    should_stop : callable
        Tells whether nothing more is to be sent: who waits for the pace then aborts the association.
    """

    def __init__(self, limits: WireLimits, accepted: Transport | None = None) -> None:
        self.limits = limits
        self.association_id = f"{os.getpid()}-{next(_numbers)}"
        self.requestor, self.acceptor = Partner(), Partner()
        self.contexts: dict[int, AcceptedContext] = {}
        self.opened_at = time.monotonic()
        self.upper_layer = UpperLayer(limits, accepted)
        self.pace: Pace | None = None
        self.should_stop: Callable[[], bool] = lambda: False
        self._peer = self.requestor if accepted is not None else self.acceptor
        self._pdvs = memoryview(b"")
        self._message: Message | None = None
        self._held: Message | None = None
        self._cancelled: set[int] = set()

    @property
    def connection(self) -> Connection | None:
        """Return the transport connection; None before there is one."""
        return self.upper_layer.connection

    @property
    def is_established(self) -> bool:
        """Tell whether messages can be exchanged."""
        return self.upper_layer.state is State.STA6

    @property
    def is_released(self) -> bool:
        """Tell whether it was released."""
        return self.upper_layer.is_released

    # -- the course of an association ----------------------------------------------------------------------

    def release(self) -> None:
        """Release the association in order, if it is established, and close the connection."""
        self._pdvs = memoryview(b"")
        self.upper_layer.release()
        self.close()

    def abort(self) -> None:
        """Abort as the service user (PS3.8 7.3)."""
        self.upper_layer.abort(SERVICE_USER)

    def abort_as_provider(self, reason: int = 0x00) -> None:
        """Abort as the service provider, with a reason of PS3.8 9.3.8."""
        self.upper_layer.abort(SERVICE_PROVIDER, reason)

    def close(self) -> None:
        """Close the connection; behind an abort the peer has a moment to do so first."""
        self.upper_layer.close()

    def interrupt(self, force: bool = False) -> None:
        """End the association from any thread: the serving thread wakes up and aborts it.

        Parameters
        ----------
        force : bool
            Wake it up also where it waits for the peer to take its bytes; the peer then gets no A-ABORT.
        """
        self.upper_layer.interrupt(force)

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

    def fileno(self) -> int:
        """Return the descriptor of the connection, for who waits for several; -1 if it is closed."""
        return -1 if self.connection is None else self.connection.fileno()

    def wait_response(self, command_field: CommandField, message_id: int, timeout_s: float) -> Message:
        """Return the response to a request of ours in the midst of an operation of the peer.

        That is how the sub-operations of a C-GET are answered (PS3.4 C.4.3.1); a C-CANCEL that arrives meanwhile
        is noted for `cancel_requested`, and gives no more time.

        Raises
        ------
        AssociationAborted
            The association ended, or the peer sent something else, or not all of the response in time.
        """
        deadline = self._deadline(timeout_s)
        while True:
            try:
                message = self._read_command(deadline)
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
        return time.monotonic() + (self.limits.network_timeout_s if timeout_s is None else timeout_s)

    def _read_command(self, deadline: float) -> Message:
        """Read a whole command set (PS3.7 6.3.1, PS3.8 E.2).

        Once it has begun the rest has a deadline as a whole: its fragments may be empty, and would have no end.
        """
        raw, is_begun = b"", False
        while True:
            context_id, control, value = self._next_pdv(deadline)
            if not control & COMMAND or len(raw) + len(value) > self.limits.command_set_size_max_bytes:
                self._refuse_pdv("a command set was expected")
            raw += value
            if control & LAST:
                break
            if not is_begun:
                is_begun, deadline = True, self._deadline(None)
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
            self._pdvs = self.upper_layer.read_p_data(deadline)
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
        self.abort_as_provider(INVALID_PDU_PARAMETER_VALUE)
        raise AssociationAborted(reason)

    # -- sending -------------------------------------------------------------------------------------------

    @property
    def pdu_length_to_peer(self) -> int:
        """Return the length of the PDUs that the peer receives (PS3.8 D.1)."""
        return min(self._peer.maximum_length or PDU_LENGTH_UNLIMITED, PDU_LENGTH_UNLIMITED)

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

    def send_file(self, context_id: int, command_set: bytes, data_set: BinaryIO, size_bytes: int) -> None:
        """Send a message whose data set is the next `size_bytes` of a file, no faster than `pace`.

        With a pace the PDUs are so short that each goes out at once. No timeout runs while it is waited for the pace.

        Raises
        ------
        AssociationAborted
            The association has ended, or the file ended early or failed: a started message cannot be taken back. Or
            `should_stop` tells to stop.
        StoreFailure, OSError
            The file failed before anything of the message was sent.
        """
        pace, length, chunk_bytes = self.pace, self.pdu_length_to_peer, SEND_CHUNK_BYTES
        if pace is not None:
            chunk_bytes = min(chunk_bytes, pace.chunk_bytes)
            length = min(length, chunk_bytes)
        elif isinstance(data_set, MemoryFile):
            chunk_bytes = size_bytes  # all of it at once
        pieces = pdata_pieces(context_id, command_set, True, length)
        started = False
        try:
            for chunk, is_last in _chunks(data_set, size_bytes, length, chunk_bytes):
                if chunk is None:
                    raise StoreFailure("the stored file is shorter than the index says")
                if pace is not None:
                    self._keep(pace, len(chunk))
                started = True
                self.write(pieces + fragment_pieces(context_id, chunk, is_last, length))
                pieces = []
        except (StoreFailure, OSError) as error:
            if not started:
                raise
            self.abort()
            raise AssociationAborted(f"a data set could not be sent to its end: {error}") from error

    def _keep(self, pace: Pace, size_bytes: int) -> None:
        """Wait until so many bytes may be sent.

        Raises
        ------
        AssociationAborted
            The association has ended meanwhile, or ends here: nothing more is to be sent.
        """
        moment = pace.reserve(size_bytes)
        while (left_s := pace.left_s(moment)) > 0:
            if self.should_stop():
                self.abort()
                raise AssociationAborted("the association was ended here")
            if self.connection.ends_within(min(left_s, LOOK_S), PDUType.P_DATA_TF):
                try:
                    self._next_pdv(self._deadline(None))
                except AssociationReleased:
                    raise AssociationAborted("the peer released the association within a data set") from None

    def write(self, pieces: list[bytes | memoryview]) -> None:
        """Send encoded P-DATA-TF PDUs (PS3.8 9.2, DT-1)."""
        self.upper_layer.write_p_data(pieces)


def _chunks(
    data_set: BinaryIO, size_bytes: int, pdu_length: int, chunk_bytes: int
) -> Iterator[tuple[memoryview | None, bool]]:
    """Yield the file in chunks of whole PDUs, each with whether it is the last; None where it ends early.

    What is in memory is not copied.
    """
    fragment = fragment_bytes(pdu_length)
    chunk_bytes = max(chunk_bytes // fragment, 1) * fragment if chunk_bytes < size_bytes else size_bytes
    in_memory = isinstance(data_set, MemoryFile)
    room = memoryview(b"" if in_memory else bytearray(max(chunk_bytes, 1)))
    remaining = size_bytes
    while True:
        wanted = min(chunk_bytes, remaining)
        chunk = data_set.take(wanted) if in_memory else room[: data_set.readinto(room[:wanted]) if wanted else 0]
        if len(chunk) != wanted:
            yield None, True
            return
        remaining -= wanted
        yield chunk, remaining == 0
        if remaining == 0:
            return
