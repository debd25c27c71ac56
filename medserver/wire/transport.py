"""What carries the bytes of a connection: TCP in the clear here, TLS in `tls_transport`. Both pass the same tests.

A transport never waits. What cannot be done now raises `BlockingIOError`: then the socket has to be readable before
something is received, and writable before something is sent; or the other way round, where TLS has its own to say
first, and `WantsToWrite` or `WantsToRead` is raised.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence
from typing import Protocol

from medserver.tls.judgement import Presented


class WantsToWrite(BlockingIOError):
    """Nothing is received before something could be sent."""


class WantsToRead(BlockingIOError):
    """Nothing is sent before something has been received."""


def event_of(blocked: BlockingIOError, usual: int) -> int:
    """Return which event of the socket is to be waited for; `usual` if nothing else is said."""
    if isinstance(blocked, WantsToWrite):
        return select.POLLOUT
    return select.POLLIN if isinstance(blocked, WantsToRead) else usual


class Transport(Protocol):
    """What carries the bytes of a connection.

    Attributes
    ----------
    socket : socket.socket
        Non-blocking; to wait for, and to end from any thread.
    presented : Presented or None
        What the peer has shown of itself; None in the clear.
    """

    socket: socket.socket
    presented: Presented | None

    @property
    def has_pending(self) -> bool:
        """Tell whether something can be received whatever the socket says."""

    def receive_into(self, room: memoryview) -> int:
        """Receive into a buffer; return how many bytes, 0 at the end.

        Raises
        ------
        BlockingIOError
            Nothing is here.
        OSError
            The connection is gone.
        """

    def peek(self) -> bytes:
        """Return the next byte without taking it; nothing at the end. Raises what `receive_into` does."""

    def send(self, pieces: Sequence[memoryview]) -> int:
        """Send as much as is taken of some pieces, in order; return how many bytes. Errors are as in `receive_into`.

        After `BlockingIOError` it is called with the same pieces again.
        """

    def close(self) -> None:
        """Close the socket."""


class PlainTransport:
    """TCP in the clear.

    Parameters
    ----------
    sock : socket.socket
        Connected.
    """

    presented: Presented | None = None
    has_pending = False

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.receive_into, self.send = sock.recv_into, sock.sendmsg
        self.close = sock.close

    def peek(self) -> bytes:
        """Return the next byte without taking it."""
        return self.socket.recv(1, socket.MSG_PEEK)
