"""Connections whose A-ASSOCIATE request has not been received yet.

They are accepted, and what they send is received as it arrives, in the thread of the watcher. A peer that is silent, or
sends a byte now and then, costs a socket and those bytes: it has no thread and no association, and no other one waits
behind it. So it is with those that begin a TLS handshake; its computing is done in one thread of its own, one step
after the other, so that nobody else waits for that.
"""

from __future__ import annotations

import logging
import math
import queue
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from medserver.errors import ConfigError
from medserver.log import Event, Whole
from medserver.wire import proxy_protocol
from medserver.wire.admission import Admission
from medserver.wire.connection import PDU_HEADER_BYTES, ConnectionEnded, acknowledge
from medserver.wire.entrance import Entrance
from medserver.wire.state_machine import PDUType
from medserver.wire.throttle import Throttle
from medserver.wire.transport import PlainTransport, Transport, event_of
from medserver.wire.upper_layer import ASSOCIATE_PDU_LENGTH_MAX
from medserver.wire.watcher import Watcher

ACCEPT_RETRY_S = 0.05
RECEIVE_MAX_BYTES = 65_536

BURST = 8
"""This many connections without a request at a time are a burst, in which every process is needed."""

HANDSHAKE = 0x16
"""The first byte of TLS: a record of the type handshake (RFC 8446 5.1). It is no type of PDU."""

TLS_IN_CLEAR = "it speaks TLS, and called the port of connections in the clear"

logger = logging.getLogger(__name__)


def speaks_tls(received: bytes | bytearray) -> bool:
    """Tell whether somebody has begun a TLS handshake in the clear: a record of it, of SSL 3.0 or later."""
    return received[:2] == bytes([HANDSHAKE, 3])


class PendingConnection:
    """A connection of which the request has not been received yet.

    Parameters
    ----------
    sock : socket.socket
        The accepted socket.
    address : tuple
        That of the peer; where a balancer connects for it, from the header on.
    deadline : float
        The monotonic time by which the request must be received (the ARTIM timer, PS3.8 9.1.5).
    entrance : Entrance
        Where it was accepted.

    Attributes
    ----------
    received : bytearray
        What has been received: never more than the request.
    transport : Transport
        What carries the bytes.
    is_shaking_hands : bool
        Whether what is to come next is a part of the TLS handshake.
    is_interrupted : bool
        Whether it is ended from this side: then nothing is computed for it any more.
    """

    def __init__(self, sock: socket.socket, address: tuple, deadline: float, entrance: Entrance) -> None:
        self.sock = sock
        self.address = address
        self.deadline = deadline
        self.entrance = entrance
        self.received = bytearray()
        self.transport: Transport = PlainTransport(sock)
        self.is_shaking_hands = entrance.is_secure
        self.is_interrupted = False
        self._header: bytearray | None = bytearray() if entrance.is_proxy(address[0]) else None

    def receive(self) -> bool:
        """Receive what has arrived; tell whether that is the request, or something that will never be one.

        Raises
        ------
        ConnectionEnded
            The connection ended first.
        BlockingIOError
            More is to come; which event of the socket is to be waited for is told by `event_of`.
        """
        if self.is_interrupted:
            raise ConnectionEnded("it was ended to make room for others")
        try:
            if self._header is not None:
                self._receive_header()
            if self.is_shaking_hands:
                self._shake_hands()
            self._receive_request()
        except BlockingIOError:
            acknowledge(self.sock)
            raise
        except (OSError, ValueError) as error:
            raise ConnectionEnded(getattr(error, "strerror", None) or str(error)) from error
        return True

    @property
    def is_announced(self) -> bool:
        """Whether it is known who calls: not before the header of a balancer is here."""
        return self._header is None

    def _receive_header(self) -> None:
        """Receive for whom a balancer connects."""
        while (missing := proxy_protocol.missing_bytes(self._header)) > 0:
            self._header += self._some(self.sock.recv(missing))
        source = proxy_protocol.source_of(self._header)
        if source is not None:
            self.address = (source, *self.address[1:])
        self._header = None

    def _shake_hands(self) -> None:
        """Go on with the TLS handshake."""
        if isinstance(self.transport, PlainTransport):
            if self._some(self.transport.peek())[0] != HANDSHAKE:
                raise OSError("it does not speak TLS, and called the port of TLS")
            from medserver.wire.tls_transport import TLSTransport  # with pyOpenSSL, which not every node has

            self.transport = TLSTransport(self.sock, self.entrance.context())
        self.transport.shake_hands()
        self.is_shaking_hands = False

    def _receive_request(self) -> None:
        while (missing := self._missing_bytes()) > 0:
            room = bytearray(min(missing, RECEIVE_MAX_BYTES))
            count = self.transport.receive_into(memoryview(room))
            self.received += self._some(room[:count])

    @staticmethod
    def _some(piece: bytes | bytearray) -> bytes | bytearray:
        if not piece:
            raise OSError("the peer closed the connection")
        return piece

    def _missing_bytes(self) -> int:
        """Return how many bytes are to come for the next decision."""
        count = len(self.received)
        if count < PDU_HEADER_BYTES:
            return PDU_HEADER_BYTES - count
        length = int.from_bytes(self.received[2:PDU_HEADER_BYTES], "big")
        if self.received[0] != PDUType.ASSOCIATE_RQ or length > ASSOCIATE_PDU_LENGTH_MAX:
            return 0
        return PDU_HEADER_BYTES + length - count

    def interrupt(self, force: bool = False) -> None:
        """End the connection, from any thread: the watcher finds its end."""
        self.is_interrupted = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            logger.debug("the connection was already down: %s", error)


class PendingConnections:
    """Accepts connections, and passes on those whose request has arrived.

    Parameters
    ----------
    entrances : sequence of Entrance
        Where they are accepted.
    watcher : Watcher
        Waits for them.
    admission : Admission
        How many there may be.
    timeout_s : float
        How long each may take for its request.
    begin : callable
        What is called with a `PendingConnection` whose request has been received, in the thread of the watcher or of
        the handshakes; it must not wait.
    """

    def __init__(
        self,
        entrances: Sequence[Entrance],
        watcher: Watcher,
        admission: Admission,
        timeout_s: float,
        begin: Callable[[PendingConnection], None],
    ) -> None:
        self._entrances = entrances
        self._watcher = watcher
        self._admission = admission
        self._timeout_s = timeout_s
        self._begin = begin
        self._count = 0
        self._lock = threading.Lock()
        self._throttle = Throttle()
        self._thread: threading.Thread | None = None
        self._handshakes: queue.SimpleQueue[PendingConnection | None] = queue.SimpleQueue()

    def accept(self) -> None:
        """Accept connections from now on, until the watcher is closed."""
        if any(entrance.is_secure for entrance in self._entrances):
            self._thread = threading.Thread(target=self._shake_hands, name="handshakes", daemon=True)
            self._thread.start()
        for entrance in self._entrances:
            self._accept(entrance)

    @property
    def alive(self) -> bool:
        """Tell whether handshakes are gone on with, if there are any: a mistake of `begin` ends their thread."""
        return self._thread is None or self._thread.is_alive()

    def close(self) -> None:
        """End the thread of the handshakes, behind the end of the watcher."""
        self._handshakes.put(None)

    def _accept(self, entrance: Entrance) -> None:
        self._watcher.watch(entrance.listener, math.inf, partial(self._leave_or_take, entrance), is_urgent=True)

    def _leave_or_take(self, entrance: Entrance, is_late: bool) -> None:
        """Leave a new connection for a moment to processes that serve fewer, unless there is a burst of them."""
        if is_late:  # the listener cannot be watched now
            self._call_later(ACCEPT_RETRY_S, partial(self._accept, entrance))
        elif self._count < BURST and (delay_s := self._admission.hesitation_s()) > 0:
            self._call_later(delay_s, partial(self._take, entrance))
        else:
            self._take(entrance)

    def _call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        if not self._watcher.closing:
            self._watcher.watch(None, time.monotonic() + delay_s, lambda is_late: self._watcher.closing or call())

    def _take(self, entrance: Entrance) -> None:
        """Accept one connection."""
        try:
            sock, address = entrance.listener.accept()
        except BlockingIOError:
            self._accept(entrance)  # another process was quicker
        except OSError as error:
            # Out of descriptors or memory: connections in the backlog are accepted when some are back.
            if self._throttle.allows(error.errno):
                logger.warning("cannot accept a connection: %s", error)
            self._call_later(ACCEPT_RETRY_S, partial(self._accept, entrance))
        else:
            self._accept(entrance)
            connection = PendingConnection(sock, address, time.monotonic() + self._timeout_s, entrance)
            self._admission.add(connection, address[0])
            self._add(1)
            self._receive(connection)

    def _add(self, number: int) -> None:
        with self._lock:
            self._count += number

    def _receive(self, connection: PendingConnection, is_late: bool = False) -> None:
        """Receive what has arrived, or have it received where that takes computing."""
        if connection.is_shaking_hands and not is_late:
            self._handshakes.put(connection)
        else:
            self._go_on(connection, is_late)

    def _shake_hands(self) -> None:
        """Go on with handshakes, one step after the other; the body of the thread of the handshakes."""
        while (connection := self._handshakes.get()) is not None:
            self._go_on(connection)

    def _go_on(self, connection: PendingConnection, is_late: bool = False) -> None:
        """Receive what has arrived, and pass the connection on if that is its request."""
        problem = "it has not sent an A-ASSOCIATE request in time" if is_late else ""
        was_announced = connection.is_announced
        if not is_late:
            try:
                connection.receive()
            except BlockingIOError as blocked:
                self._locate(connection, was_announced)
                again = partial(self._receive, connection)
                event = event_of(blocked, select.POLLIN)
                self._watcher.watch(connection.sock, connection.deadline, again, is_urgent=True, event=event)
                return
            except (ConnectionEnded, ConfigError) as error:
                problem = str(error)
            except Exception:  # of hostile bytes; the thread serves all others
                logger.exception("a connection could not be read")
                problem = "a mistake of ours"
        self._locate(connection, was_announced)
        self._add(-1)
        if problem:
            self._log_end(connection, problem)
            self._admission.remove(connection)
            connection.transport.close()
        else:
            self._begin(connection)

    def _locate(self, connection: PendingConnection, was_announced: bool) -> None:
        """Have a connection counted for who calls, and not for the balancer, as soon as that is known."""
        if connection.is_announced and not was_announced:
            self._admission.locate(connection, connection.address[0])

    def _log_end(self, connection: PendingConnection, problem: str) -> None:
        """Say why a connection has ended before TLS or the header of its balancer, once a minute for each address."""
        address = connection.address[0]
        if connection.is_announced and not connection.is_shaking_hands or connection.is_interrupted:
            return
        if not self._watcher.closing and self._throttle.allows((address, problem)):
            what = "no TLS" if connection.is_announced else "no header"
            logger.warning(Event(what, address=address, reason=Whole(problem)))
