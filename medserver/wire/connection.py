"""One TCP connection: bytes in through a buffer of fixed size, bytes out, and a deadline on each.

The socket is non-blocking and every wait is a `poll` with the time that is left, so that a deadline holds
against a peer that sends one byte now and then, and file descriptors beyond 1023 work.
"""

from __future__ import annotations

import logging
import mmap
import select
import socket
import time
from collections.abc import Sequence

from pynetdicom import evt
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

PDU_HEADER_BYTES = 6

PIECES_MAX = 512
"""How many pieces go into one system call; the kernel takes no more than IOV_MAX (1024)."""

_TCP_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux has it

logger = logging.getLogger(__name__)


def acknowledge(sock: socket.socket) -> None:
    """Acknowledge at once what has been received and what is received next, where the platform can.

    Most peers (DCMTK, pynetdicom, many modalities) write a message in several pieces and leave Nagle's algorithm on:
    their next piece waits for our acknowledgement, which the kernel delays by 40 ms or more. The option does not
    stick: it is set each time before we wait for more.
    """
    if _TCP_QUICKACK is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)


class ConnectionEnded(Exception):
    """The peer closed or reset the connection, or it was closed here."""


class DeadlineMissed(Exception):
    """The peer did not send or take its bytes in time."""


class PDUTooLong(Exception):
    """The peer announces a PDU that is longer than what was agreed."""


class Connection(AssociationSocket):
    """The transport connection of one association.

    Parameters
    ----------
    association : Association
        The association that owns the connection.
    accepted : socket.socket or None
        The socket of an accepted connection; None for a connection that `connect` will open.
    buffer_size_bytes : int
        Room for one PDU of the largest permitted length, with its header.
    """

    def __init__(self, association, accepted: socket.socket | None, buffer_size_bytes: int) -> None:
        unbound = None if accepted is not None else AddressInformation("0.0.0.0", 0)
        super().__init__(association, client_socket=accepted, address=unbound)
        # Pages that nobody has touched: an association pays for as much of its buffer as it has used.
        self._buffer = memoryview(
            mmap.mmap(-1, buffer_size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        )
        self._start = 0
        self._end = 0
        if accepted is not None:
            self._prepare(accepted)

    def _create_socket(self, address: AddressInformation) -> None:
        """Leave the making of the socket to `connect`, which knows the address family."""
        return None

    @staticmethod
    def _prepare(sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connect(self, primitive: T_CONNECT) -> None:
        """Open the connection for an A-ASSOCIATE request and report the outcome as Evt2 or Evt17."""
        address = primitive.address_info
        try:
            sock = socket.create_connection(
                (address.address, address.port), timeout=self.assoc.connection_timeout
            )
        except OSError as error:
            self.assoc.connection_error = error
            primitive.result = "Evt17"
        else:
            self._prepare(sock)
            self.socket = sock
            self._is_connected = True
            self.assoc.requestor.address_info = AddressInformation.from_tuple(sock.getsockname())
            evt.trigger(self.assoc, evt.EVT_CONN_OPEN, {"address": address.as_tuple})
            primitive.result = "Evt2"
        self.provider_queue.put(primitive)
        self._ready.set()

    # -- reading -----------------------------------------------------------------------------------------

    @property
    def buffered_bytes(self) -> int:
        """Return how many received bytes wait to be read."""
        return self._end - self._start

    def preload(self, received: bytes | bytearray) -> None:
        """Take bytes that were received before the connection was made; they fit into the buffer."""
        self._start, self._end = 0, len(received)
        self._buffer[: self._end] = received

    def readable(self, timeout_s: float = 0.0) -> bool:
        """Tell whether a byte (or the end of the connection) can be read within `timeout_s`."""
        return self.buffered_bytes > 0 or self._poll(select.POLLIN, timeout_s)

    def read_pdu(self, length_max: int, header_deadline: float, body_timeout_s: float) -> memoryview:
        """Read one PDU.

        Parameters
        ----------
        length_max : int
            The largest permitted value of the PDU length field (PS3.8 9.3.1).
        header_deadline : float
            The monotonic time by which the six bytes of the header must be here.
        body_timeout_s : float
            The seconds that the peer has for the rest.

        Returns
        -------
        memoryview
            The whole PDU; valid until the next read.

        Raises
        ------
        ConnectionEnded, DeadlineMissed, PDUTooLong
        """
        self._fill(PDU_HEADER_BYTES, header_deadline)
        start = self._start
        length = int.from_bytes(self._buffer[start + 2 : start + PDU_HEADER_BYTES], "big")
        if length > length_max or PDU_HEADER_BYTES + length > len(self._buffer):
            raise PDUTooLong(f"a PDU of {length} bytes was announced, {length_max} are permitted")
        size = PDU_HEADER_BYTES + length
        if self._end - start < size:
            self._fill(size, time.monotonic() + body_timeout_s)
            start = self._start
        self._start = start + size
        return self._buffer[start : start + size]

    def _fill(self, count: int, deadline: float) -> None:
        """Receive until `count` bytes are in the buffer; take more where they are there already."""
        if self._end - self._start >= count:
            return
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start + count > len(self._buffer):
            pending = bytes(self._buffer[self._start : self._end])
            self._buffer[: len(pending)] = pending
            self._start, self._end = 0, len(pending)
        while self._end - self._start < count:
            self._end += self._receive_into(self._buffer[self._end :], deadline)

    def _receive_into(self, room: memoryview, deadline: float) -> int:
        while True:
            if self.socket is None:
                raise ConnectionEnded("the connection is closed")
            try:
                count = self.socket.recv_into(room)
            except BlockingIOError:
                acknowledge(self.socket)
                self._wait(select.POLLIN, deadline)
                continue
            except OSError as error:
                raise ConnectionEnded(str(error)) from error
            if count == 0:
                raise ConnectionEnded("the peer closed the connection")
            if time.monotonic() > deadline:
                raise DeadlineMissed("the peer is too slow")
            return count

    def _wait(self, event: int, deadline: float) -> None:
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0 or not self._poll(event, remaining_s):
            raise DeadlineMissed("the peer is silent")

    def _poll(self, event: int, timeout_s: float) -> bool:
        sock = self.socket
        if sock is None or sock.fileno() < 0:
            return True
        poller = select.poll()
        poller.register(sock.fileno(), event)
        return bool(poller.poll(timeout_s * 1000))

    # -- writing -----------------------------------------------------------------------------------------

    def send(self, bytestream: bytes) -> None:
        """Send one encoded PDU; a broken connection becomes Evt17 for the state machine."""
        try:
            self.write([bytestream])
        except (ConnectionEnded, DeadlineMissed):
            self.close()

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Send the pieces, in order, without joining them.

        Raises
        ------
        ConnectionEnded
            The connection is gone.
        DeadlineMissed
            The peer has taken nothing for the network timeout.
        """
        pending = [memoryview(piece) for piece in pieces]
        timeout_s = self.assoc.network_timeout
        deadline = time.monotonic() + timeout_s
        while pending:
            sock = self.socket
            if sock is None:
                raise ConnectionEnded("the connection is closed")
            try:
                sent = sock.sendmsg(pending[:PIECES_MAX])
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
                continue
            except OSError as error:
                raise ConnectionEnded(str(error)) from error
            deadline = time.monotonic() + timeout_s
            pending = _rest(pending, sent)

    # -- closing -----------------------------------------------------------------------------------------

    def linger(self, timeout_s: float) -> None:
        """Wait for the peer to close, throwing away what it still sends, and close."""
        deadline = time.monotonic() + timeout_s
        try:
            while True:
                self._receive_into(self._buffer, deadline)
        except (ConnectionEnded, DeadlineMissed):
            self.close()

    def interrupt(self, force: bool = False) -> None:
        """End the reading side from another thread: the reader finds the end of the connection.

        Parameters
        ----------
        force : bool
            End the writing side as well, for a thread that waits for the peer to take its bytes.
        """
        sock = self.socket
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR if force else socket.SHUT_RD)
            except OSError as error:
                logger.debug("the connection was already down: %s", error)

    def close(self) -> None:
        """Close the socket and report Evt17 (PS3.8 9.2.2), once."""
        sock, self.socket = self.socket, None
        if sock is None:
            return
        self._is_connected = False
        sock.close()
        self.event_queue.put("Evt17")

    def _shutdown_socket(self) -> None:
        """Close without an event: the state machine is already past it."""
        sock, self.socket = self.socket, None
        if sock is not None:
            self._is_connected = False
            sock.close()

    @property
    def ready(self) -> bool:
        """Tell whether bytes wait (the name that pynetdicom's reactor uses)."""
        return self.socket is not None and self.readable()

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly `nr_bytes`, fewer at the end of the connection (for pynetdicom's reactor)."""
        received = bytearray()
        deadline = time.monotonic() + self.assoc.network_timeout
        try:
            while len(received) < nr_bytes:
                step = min(nr_bytes - len(received), len(self._buffer))
                self._fill(step, deadline)
                received += self._buffer[self._start : self._start + step]
                self._start += step
        except (ConnectionEnded, DeadlineMissed) as error:
            logger.debug("the connection ended: %s", error)
        return received


def _rest(pieces: list[memoryview], sent: int) -> list[memoryview]:
    """Return what is left of the pieces when `sent` bytes have gone."""
    for index, piece in enumerate(pieces):
        if sent < len(piece):
            return [piece[sent:], *pieces[index + 1 :]]
        sent -= len(piece)
    return []
