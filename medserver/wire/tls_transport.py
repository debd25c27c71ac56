"""TLS over a TCP connection, for either side (PS3.15 B.12): the transport of an association whose peer has shown a
certificate.

The handshake proves that the peer has the key of its certificate; whether that is the one of a remote AE is decided
when the AE is known: by the services, or by who has called it.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Sequence

from OpenSSL import SSL

from medserver.config import Security
from medserver.config.addresses import is_ip_address
from medserver.errors import ConfigError, ConnectionFailed
from medserver.tls.certificate import SERVER
from medserver.tls.contexts import client_context, said_by
from medserver.tls.judgement import Presented, judge
from medserver.wire.transport import WantsToRead, WantsToWrite, event_of

RECORD_BYTES = 16_384
"""A record carries no more (RFC 8446 5.1): nothing is gained by asking for more at a time."""

SEND_BYTES = 8 * RECORD_BYTES
"""So much is given to the library at a time: a call costs more than the enciphering of a record. It takes all of it or
nothing, and when nothing it has to be given the same again."""

_CHAIN_LENGTH_MAX = 10


class TLSTransport:
    """TLS over a connected socket, before its handshake.

    Parameters
    ----------
    sock : socket.socket
        Connected.
    context : SSL.Context
        Of `medserver.tls.contexts`.
    host : str, optional
        Who was called, if it has a name; without it this side was called.
    is_client : bool
        Whether this side has called.

    Attributes
    ----------
    presented : Presented or None
        What the peer has shown; None before the handshake is over.
    """

    def __init__(
        self, sock: socket.socket, context: SSL.Context, *, is_client: bool = False, host: str | None = None
    ) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.presented: Presented | None = None
        self._tls = SSL.Connection(context, sock)
        if is_client:
            self._tls.set_connect_state()
            if host is not None and not is_ip_address(host):
                self._tls.set_tlsext_host_name(host.encode("ascii", "replace"))
        else:
            self._tls.set_accept_state()

    @property
    def version(self) -> str:
        """Return the version of TLS that was negotiated."""
        return self._tls.get_protocol_version_name()

    @property
    def has_pending(self) -> bool:
        """Tell whether a part of a record is here already."""
        return self._tls.pending() > 0

    def shake_hands(self) -> None:
        """Go on with the handshake.

        Raises
        ------
        BlockingIOError
            It is not over yet.
        OSError
            It has failed.
        """
        try:
            self._tls.do_handshake()
        except SSL.WantWriteError:
            raise WantsToWrite from None
        except SSL.Error as error:
            raise _as_os_error(error) from None
        chain = self._tls.get_peer_cert_chain(as_cryptography=True) or []
        own = self._tls.get_peer_certificate(as_cryptography=True)
        if own is None:  # refused in the handshake, but never be it taken for granted
            raise OSError("the peer has shown no certificate")
        others = [each for each in chain if each != own]
        try:
            self.presented = Presented.of([own, *others][:_CHAIN_LENGTH_MAX])
        except ValueError as error:
            raise OSError(str(error)) from None

    def receive_into(self, room: memoryview) -> int:
        """Receive into a buffer; see `Transport`."""
        try:
            return self._tls.recv_into(room, min(len(room), RECORD_BYTES))
        except SSL.ZeroReturnError:
            return 0
        except SSL.WantWriteError:
            raise WantsToWrite from None
        except SSL.Error as error:
            raise _as_os_error(error) from None

    def peek(self) -> bytes:
        """Return the next byte without taking it; see `Transport`."""
        try:
            return self._tls.recv(1, socket.MSG_PEEK)
        except SSL.ZeroReturnError:
            return b""
        except SSL.WantWriteError:
            raise WantsToWrite from None
        except SSL.Error as error:
            raise _as_os_error(error) from None

    def send(self, pieces: Sequence[memoryview]) -> int:
        """Send as much as is taken of some pieces, several records at a time; see `Transport`.

        Short pieces are copied to share records with what follows.
        """
        sent = 0
        index, offset = 0, 0
        while index < len(pieces):
            chunk, index, offset = _next_chunk(pieces, index, offset)
            try:
                taken = self._tls.send(chunk)
            except (SSL.WantWriteError, SSL.WantReadError) as blocked:
                if sent:
                    return sent
                raise (WantsToRead if isinstance(blocked, SSL.WantReadError) else BlockingIOError) from None
            except SSL.Error as error:
                raise _as_os_error(error) from None
            sent += taken
        return sent

    def close(self) -> None:
        """Say that nothing more comes, if that goes out at once, and close the socket."""
        try:
            self._tls.shutdown()
        except SSL.Error:
            pass  # it cannot be said, or the handshake was not over
        self.socket.close()


def _next_chunk(
    pieces: Sequence[memoryview], index: int, offset: int
) -> tuple[memoryview | bytes, int, int]:
    """Return what is sent next, and the place behind it."""
    piece = pieces[index]
    left = len(piece) - offset
    if left >= SEND_BYTES or index + 1 == len(pieces):
        end = min(offset + SEND_BYTES, len(piece))
        chunk = piece[offset:end]
        return (chunk, index, end) if end < len(piece) else (chunk, index + 1, 0)
    parts, size = [], 0
    while index < len(pieces) and size < SEND_BYTES:
        piece = pieces[index]
        end = min(offset + SEND_BYTES - size, len(piece))
        parts.append(piece[offset:end])
        size += end - offset
        index, offset = (index, end) if end < len(piece) else (index + 1, 0)
    return b"".join(parts), index, offset


def _as_os_error(error: SSL.Error) -> OSError:
    """Return what the rest of the wire knows."""
    if isinstance(error, SSL.WantReadError):
        return BlockingIOError()
    if isinstance(error, SSL.SysCallError):
        number, text = (*error.args, "")[:2]
        return OSError(text) if number == -1 else OSError(number, os.strerror(number))
    return OSError(f"TLS: {said_by(error)}")


def call(sock: socket.socket, security: Security, host: str, deadline: float) -> TLSTransport:
    """Open TLS on a connection to a remote AE, and make sure of who it is.

    Parameters
    ----------
    sock : socket.socket
        Connected; closed here if this fails.
    security : Security
        What it is recognised by, and what it is shown.
    host : str
        Where it was called.
    deadline : float
        The monotonic time by which the handshake has to be over.

    Raises
    ------
    OSError
        The handshake failed, or the certificate is not that of the remote AE.
    """
    try:
        context = client_context(security.certificate, security.key)
        transport = TLSTransport(sock, context, is_client=True, host=host)
        _finish(transport, deadline)
        verdict = judge(security, transport.presented, purpose=SERVER, host=host)
        if verdict.problem:
            fingerprint = transport.presented.certificate.fingerprint
            raise OSError(f"who listens there is somebody else: {verdict.problem} ({fingerprint})")
    except ConfigError as error:
        sock.close()
        raise OSError(str(error)) from None
    except BaseException:
        sock.close()
        raise
    return transport


def _finish(transport: TLSTransport, deadline: float) -> None:
    """Wait for the end of a handshake."""
    while True:
        try:
            transport.shake_hands()
            return
        except BlockingIOError as blocked:
            event = event_of(blocked, select.POLLIN)
        except OSError as error:
            raise OSError(f"the TLS handshake failed: {error.strerror or error} (is TLS spoken there?)") from None
        remaining_s = deadline - time.monotonic()
        poller = select.poll()
        poller.register(transport.socket.fileno(), event)
        if remaining_s <= 0 or not poller.poll(remaining_s * 1000):
            raise TimeoutError("the TLS handshake was not answered in time")


def shown_by(host: str, port: int, security: Security, timeout_s: float) -> Presented:
    """Return what a remote AE shows when it is called, whoever that is.

    Raises
    ------
    ConnectionFailed
        Nobody listens there, or does not speak TLS.
    ConfigError
        Our own certificate cannot be used.
    """
    deadline = time.monotonic() + timeout_s
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as sock:
            context = client_context(security.certificate, security.key)
            transport = TLSTransport(sock, context, is_client=True, host=host)
            _finish(transport, deadline)
            assert transport.presented is not None  # the handshake is over
            return transport.presented
    except OSError as error:
        raise ConnectionFailed(f"cannot connect to {host}:{port}: {error.strerror or error}") from None
