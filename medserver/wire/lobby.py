"""Where connections wait until their A-ASSOCIATE request is here.

One thread accepts them all and takes what they send as it comes. Whoever is silent, or sends a byte now and then,
costs a socket and those bytes: there is no thread and no association for him, and nobody has to wait behind him.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable

from medserver.wire.admission import Admission
from medserver.wire.connection import PDU_HEADER_BYTES, ConnectionEnded, acknowledge
from medserver.wire.throttle import Throttle
from medserver.wire.upper_layer import ASSOCIATE_PDU_LENGTH_MAX, ASSOCIATE_RQ

ACCEPT_RETRY_S = 0.05
RECEIVE_MAX_BYTES = 65_536

RUSH = 8
"""So many connections without a request at a time are no chance."""

logger = logging.getLogger(__name__)


class Newcomer:
    """A connection of which the request is not here yet.

    Parameters
    ----------
    sock : socket.socket
        The accepted socket.
    address : tuple
        That of the peer.
    deadline : float
        The monotonic time by which the request must be here (the ARTIM timer, PS3.8 9.1.5).

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
        """Take what has arrived; tell whether the request is here, or something that will never be one.

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
        if self.received[0] != ASSOCIATE_RQ or length > ASSOCIATE_PDU_LENGTH_MAX:
            return 0
        return PDU_HEADER_BYTES + length - count

    def interrupt(self, force: bool = False) -> None:
        """End the connection, from any thread: the lobby finds its end."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            logger.debug("the connection was already down: %s", error)


class Lobby:
    """Accepts connections, and hands on those whose request has arrived.

    Parameters
    ----------
    listener : socket.socket
        Listening. Several processes may accept from one.
    admission : Admission
        How many may wait.
    timeout_s : float
        How long each may take for its request.
    welcome : callable
        What is called with a `Newcomer` whose request is here, in the thread of the lobby.
    """

    def __init__(
        self,
        listener: socket.socket,
        admission: Admission,
        timeout_s: float,
        welcome: Callable[[Newcomer], None],
    ) -> None:
        self._listener = listener
        self._admission = admission
        self._timeout_s = timeout_s
        self._welcome = welcome
        self._newcomers: dict[Newcomer, None] = {}  # in the order of their deadlines
        self._selector = selectors.DefaultSelector()
        self._wakeup_reader, self._wakeup_writer = socket.socketpair()
        self._stopping = threading.Event()
        self._throttle = Throttle()
        self._thread = threading.Thread(target=self._run, name="lobby", daemon=True)

    def open(self) -> None:
        """Accept connections from now on."""
        self._thread.start()

    @property
    def closing(self) -> bool:
        """Tell whether `close` has been called."""
        return self._stopping.is_set()

    @property
    def alive(self) -> bool:
        """Tell whether connections are accepted: not before `open`, not after `close`, and not after a mistake."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Accept no more, and send away those who wait."""
        self._stopping.set()
        self._wakeup_writer.send(b"\0")
        self._thread.join()
        for closable in (self._listener, self._wakeup_reader, self._wakeup_writer, self._selector):
            closable.close()

    def _run(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wakeup_reader, selectors.EVENT_READ)
        while not self._stopping.is_set():
            ready = [key for key, _ in self._selector.select(self._patience_s())]
            for key in ready:
                if key.data is not None:
                    self._hear(key.data)
            self._dismiss_the_late()
            if any(key.fileobj is self._listener for key in ready):
                self._hesitate()
                self._accept()
        for newcomer in list(self._newcomers):
            self._dismiss(newcomer)

    def _hesitate(self) -> None:
        """Let another process that serves fewer be quicker, unless this is a rush: then everybody is needed."""
        if len(self._newcomers) < RUSH:
            self._stopping.wait(self._admission.hesitation_s())

    def _patience_s(self) -> float | None:
        """Return how long nobody is late."""
        for newcomer in self._newcomers:
            return max(newcomer.deadline - time.monotonic(), 0.0)
        return None

    def _accept(self) -> None:
        try:
            sock, address = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # Out of descriptors or memory: those who wait in the backlog are served when some are back.
            if self._throttle.allows(error.errno):
                logger.warning("cannot accept a connection: %s", error)
            self._stopping.wait(ACCEPT_RETRY_S)
            return
        newcomer = Newcomer(sock, address, time.monotonic() + self._timeout_s)
        self._admission.enter(newcomer, address[0])
        self._newcomers[newcomer] = None
        self._selector.register(sock, selectors.EVENT_READ, newcomer)
        self._hear(newcomer)

    def _hear(self, newcomer: Newcomer) -> None:
        """Take what has arrived, and hand the connection on if that is its request."""
        try:
            if not newcomer.receive():
                return
        except ConnectionEnded:
            self._dismiss(newcomer)
            return
        self._forget(newcomer)
        self._welcome(newcomer)

    def _dismiss_the_late(self) -> None:
        now = time.monotonic()
        while self._newcomers and (newcomer := next(iter(self._newcomers))).deadline <= now:
            self._dismiss(newcomer)

    def _dismiss(self, newcomer: Newcomer) -> None:
        self._forget(newcomer)
        self._admission.leave(newcomer)
        newcomer.sock.close()

    def _forget(self, newcomer: Newcomer) -> None:
        del self._newcomers[newcomer]
        self._selector.unregister(newcomer.sock)
