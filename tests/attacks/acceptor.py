"""A remote AE that does not behave: it accepts connections, and what it says is the test's."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from medserver.wire.command_set import RESPONSE, CommandField, decode_command_set
from tests.attacks import raw
from tests.peers import Address

RELEASE_RESPONSE = struct.pack(">BBII", raw.RELEASE_RP, 0, 4, 0)

Conversation = Callable[[socket.socket, bytes], object]
"""Gets an accepted connection and the body of the A-ASSOCIATE-RQ that came over it."""


class Acceptor:
    """Listens on a free port until it is closed, and holds one conversation after the other.

    Parameters
    ----------
    ae_title : str
        Under which it is configured.
    converse : callable
        What it does with each connection, which is closed afterwards; may be replaced at any time.
    """

    def __init__(self, ae_title: str, converse: Conversation) -> None:
        self.converse = converse
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address(ae_title, self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and wait for the end of the last conversation."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(raw.TIMEOUT_S)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(raw.TIMEOUT_S)
            with sock, suppress(OSError):
                pdu_type, body = raw.receive_pdu(sock)
                if pdu_type == raw.ASSOCIATE_RQ:
                    self.converse(sock, body)


def wait_for_abort(sock: socket.socket) -> None:
    """Receive PDUs until one is an A-ABORT, or the connection ends."""
    with suppress(ConnectionError):
        while raw.receive_pdu(sock)[0] != raw.ABORT:
            pass


def accept(request: bytes) -> bytes:
    """Encode an A-ASSOCIATE-AC that accepts every proposed context with its first transfer syntax (PS3.8 9.3.3).

    Parameters
    ----------
    request : bytes
        The body of the A-ASSOCIATE-RQ.
    """
    items, position = b"", 68
    while position < len(request):
        item_type, length = struct.unpack_from(">BxH", request, position)
        item = request[position + 4 : position + 4 + length]
        position += 4 + length
        if item_type == 0x20:
            transfer_syntax = item[item.index(b"\x40\0", 4) :]
            transfer_syntax = transfer_syntax[: 4 + int.from_bytes(transfer_syntax[2:4], "big")]
            accepted = bytes([item[0], 0, 0, 0]) + transfer_syntax
            items += struct.pack(">BBH", 0x21, 0, len(accepted)) + accepted
        elif item_type in (0x10, 0x50):
            items += struct.pack(">BBH", item_type, 0, length) + item
    return raw.pdu(raw.ASSOCIATE_AC, request[:68] + items)


def answer_stores(sock: socket.socket, status: int, **elements: object) -> bool:
    """Answer each C-STORE request with a status and other elements.

    Returns
    -------
    bool
        True when the requestor asks for the release of the association, False when it ends it in another way.
    """
    while True:
        pdu_type, body = raw.receive_pdu(sock)
        if pdu_type != raw.P_DATA:
            return pdu_type == raw.RELEASE_RQ
        context_id, control = body[4], body[5]
        if control & 0x01:  # a command set: its Message ID
            command_set = decode_command_set(body[6:])
        elif control & 0x02:  # the end of its data set
            response = {
                "CommandField": CommandField.C_STORE | RESPONSE,
                "MessageIDBeingRespondedTo": command_set["MessageID"],
                "Status": status,
            }
            sock.sendall(raw.message(context_id, response | elements))
