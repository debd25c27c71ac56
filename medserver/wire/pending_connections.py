"""Connections whose A-ASSOCIATE request has not been received yet.

They are accepted, and what they send is received as it arrives, in the thread of the watcher. A peer that is silent, or
sends a byte now and then, costs a socket and those bytes: it has no thread and no association, and no other one waits
behind it.
"""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Callable
from functools import partial

from medserver.wire.admission import Admission
from medserver.wire.connection import PDU_HEADER_BYTES, ConnectionEnded, acknowledge
from medserver.wire.state_machine import PDUType
from medserver.wire.throttle import Throttle
from medserver.wire.upper_layer import ASSOCIATE_PDU_LENGTH_MAX
from medserver.wire.watcher import Watcher

ACCEPT_RETRY_S = 0.05
RECEIVE_MAX_BYTES = 65_536

BURST = 8
"""This many connections without a request at a time are a burst, in which every process is needed."""

logger = logging.getLogger(__name__)


class PendingConnection:
    """A connection of which the request has not been received yet.

    Parameters
    ----------
    sock : socket.socket
        The accepted socket.
    address : tuple
        That of the peer.
    deadline : float
        The monotonic time by which the request must be received (the ARTIM timer, PS3.8 9.1.5).

    Attributes
    ----------
    received : bytearray
        What has been received: never more than the request.
    """

    def __init__(self, sock: socket.socket, address: tuple, deadline: float) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.address = address
        self.deadline = deadline
        self.received = bytearray()

    def receive(self) -> bool:
        """Receive what has arrived; tell whether that is the request, or something that will never be one.

        Raises
        ------
        ConnectionEnded
            The connection ended first.
        """
        while (missing := self._missing_bytes()) > 0:
            try:
                piece = self.sock.recv(min(missing, RECEIVE_MAX_BYTES))
            except BlockingIOError:
                acknowledge(self.sock)
                return False
            except OSError as error:
                raise ConnectionEnded(str(error)) from error
            if not piece:
                raise ConnectionEnded("the peer closed the connection")
            self.received += piece
        return True

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
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            logger.debug("the connection was already down: %s", error)


class PendingConnections:
    """Accepts connections, and passes on those whose request has arrived.

    Parameters
    ----------
    listener : socket.socket
        Listening. Several processes may accept from one.
    watcher : Watcher
        Waits for them.
    admission : Admission
        How many there may be.
    timeout_s : float
        How long each may take for its request.
    begin : callable
        What is called with a `PendingConnection` whose request has been received, in the thread of the watcher.
    """

    def __init__(
        self,
        listener: socket.socket,
        watcher: Watcher,
        admission: Admission,
        timeout_s: float,
        begin: Callable[[PendingConnection], None],
    ) -> None:
        self._listener = listener
        self._watcher = watcher
        self._admission = admission
        self._timeout_s = timeout_s
        self._begin = begin
        self._count = 0
        self._throttle = Throttle()

    def accept(self) -> None:
        """Accept connections from now on, until the watcher is closed."""
        self._watcher.watch(self._listener, math.inf, self._leave_or_take, is_urgent=True)

    def _leave_or_take(self, is_late: bool) -> None:
        """Leave a new connection for a moment to processes that serve fewer, unless there is a burst of them."""
        if is_late:  # the listener cannot be watched now
            self._call_later(ACCEPT_RETRY_S, self.accept)
        elif self._count < BURST and (delay_s := self._admission.hesitation_s()) > 0:
            self._call_later(delay_s, self._take)
        else:
            self._take()

    def _call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        if not self._watcher.closing:
            self._watcher.watch(None, time.monotonic() + delay_s, lambda is_late: self._watcher.closing or call())

    def _take(self) -> None:
        """Accept one connection."""
        try:
            sock, address = self._listener.accept()
        except BlockingIOError:
            self.accept()  # another process was quicker
        except OSError as error:
            # Out of descriptors or memory: connections in the backlog are accepted when some are back.
            if self._throttle.allows(error.errno):
                logger.warning("cannot accept a connection: %s", error)
            self._call_later(ACCEPT_RETRY_S, self.accept)
        else:
            self.accept()
            connection = PendingConnection(sock, address, time.monotonic() + self._timeout_s)
            self._admission.add(connection, address[0])
            self._count += 1
            self._receive(connection)

    def _receive(self, connection: PendingConnection, is_late: bool = False) -> None:
        """Receive what has arrived, and pass the connection on if that is its request."""
        try:
            if not is_late and not connection.receive():
                again = partial(self._receive, connection)
                self._watcher.watch(connection.sock, connection.deadline, again, is_urgent=True)
                return
        except ConnectionEnded:
            is_late = True
        self._count -= 1
        if is_late:
            self._admission.remove(connection)
            connection.sock.close()
        else:
            self._begin(connection)
