"""One connection: bytes in through a buffer of fixed size, bytes out, and a deadline on each.

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

from medserver.wire.transport import Transport, event_of

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


class Connection:
    """The transport connection of one association.

    Parameters
    ----------
    transport : Transport
        What carries the bytes.
    buffer_size_bytes : int
        Room for one PDU of the largest permitted length, with its header.
    timeout_s : float
        How long the peer may take none of the bytes that are sent.

    Attributes
    ----------
    socket : socket.socket or None
        None once the connection is closed.
    transport : Transport
        What carries the bytes.
    """

    def __init__(self, transport: Transport, buffer_size_bytes: int, timeout_s: float) -> None:
        # Pages that nobody has touched: an association pays for as much of its buffer as it has used.
        self._buffer = memoryview(
            mmap.mmap(-1, buffer_size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        )
        self._start = 0
        self._end = 0
        self._timeout_s = timeout_s
        sock = transport.socket
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.transport = transport
        self.socket: socket.socket | None = sock

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
        """Tell whether a byte (or the end of the connection) can be read within `timeout_s`.

        With a time to wait it is received already: a peer that waits for our answer has mostly sent its next request
        when we look. What was read before is no longer valid then.
        """
        if self.buffered_bytes > 0 or self.socket is None:
            return True
        if timeout_s <= 0:
            return self._has_arrived(0.0)
        try:
            self._start, self._end = 0, self.transport.receive_into(self._buffer)
        except BlockingIOError:
            acknowledge(self.socket)
            return self._has_arrived(timeout_s)
        except OSError as error:
            logger.debug("the next read will fail: %s", error)
        return True

    def _has_arrived(self, timeout_s: float) -> bool:
        """Tell whether a byte or the end arrives in time: the socket can be read for what is only TLS's own, too."""
        if not self.transport.has_pending and not self._poll(select.POLLIN, timeout_s):
            return False
        if self.transport.presented is None:
            return True
        try:
            self.transport.peek()
        except BlockingIOError:
            return False
        except OSError as error:
            logger.debug("the next read will fail: %s", error)
        return True

    def fileno(self) -> int:
        """Return the descriptor of the socket; -1 if it is closed."""
        sock = self.socket
        return -1 if sock is None else sock.fileno()

    def ends_within(self, timeout_s: float, expected: int) -> bool:
        """Wait for a while; tell at once when the peer closes the connection, or sends another PDU than one of a type.

        What has arrived is left to be read.

        Parameters
        ----------
        timeout_s : float
            How long [s].
        expected : int
            The type of PDU that ends nothing.
        """
        ends_at = time.monotonic() + timeout_s
        if self.buffered_bytes == 0 and self._has_arrived(timeout_s):
            try:
                if self.socket is None or self.transport.peek() != bytes([expected]):
                    return True
            except BlockingIOError:
                pass
            except OSError:
                return True
        time.sleep(max(0.0, ends_at - time.monotonic()))
        return False

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
                count = self.transport.receive_into(room)
            except BlockingIOError as blocked:
                acknowledge(self.socket)
                self._wait(event_of(blocked, select.POLLIN), deadline)
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

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Send the pieces, in order, without joining them.

        Raises
        ------
        ConnectionEnded
            The connection is gone.
        DeadlineMissed
            The peer has taken nothing for too long.
        """
        pending = [memoryview(piece) for piece in pieces]
        deadline = time.monotonic() + self._timeout_s
        while pending:
            if self.socket is None:
                raise ConnectionEnded("the connection is closed")
            try:
                sent = self.transport.send(pending[:PIECES_MAX])
            except BlockingIOError as blocked:
                self._wait(event_of(blocked, select.POLLOUT), deadline)
                continue
            except OSError as error:
                raise ConnectionEnded(str(error)) from error
            deadline = time.monotonic() + self._timeout_s
            pending = _rest(pending, sent)

    # -- closing -----------------------------------------------------------------------------------------

    def linger(self, timeout_s: float) -> None:
        """Wait for the peer to close, throwing away what it still sends."""
        deadline = time.monotonic() + timeout_s
        try:
            while True:
                self._receive_into(self._buffer, deadline)
        except (ConnectionEnded, DeadlineMissed) as error:
            logger.debug("the connection is closed: %s", error)

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing is left to be read, because the peer has closed or reset the connection."""
        try:
            return not self.buffered_bytes and not self.transport.peek()
        except BlockingIOError:
            return False
        except OSError:
            return True

    def drop(self) -> bool:
        """Throw away what has arrived; tell whether the peer has closed the connection."""
        try:
            while self.socket is not None and self.transport.receive_into(self._buffer) > 0:
                if not self.transport.has_pending:
                    return False
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True

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
        """Close the socket."""
        sock, self.socket = self.socket, None
        if sock is not None:
            self.transport.close()


def _rest(pieces: list[memoryview], sent: int) -> list[memoryview]:
    """Return what is left of the pieces when `sent` bytes have gone."""
    for index, piece in enumerate(pieces):
        if sent < len(piece):
            return [piece[sent:], *pieces[index + 1 :]]
        sent -= len(piece)
    return []
