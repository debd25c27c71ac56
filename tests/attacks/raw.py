"""Bytes on a socket: what no library would send, and when no library would send it.

A raw association is a socket and nothing else; the first presentation context of it has the ID 1, the next 3 ...
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress

from medserver.dicom import uids
from medserver.wire.command_set import CommandField, decode_command_set, encode_command_set
from medserver.wire.pdata import PDV_HEADER_BYTES, pdata_pieces
from tests.peers import Address

TIMEOUT_S = 10.0

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(0x01, 0x08)
PDU_HEADER_BYTES = 6
PDU_LENGTH = 16_384
DATA_SET_FOLLOWS, NO_DATA_SET = 0x0001, 0x0101

EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
IMPLICIT = uids.IMPLICIT_VR_LITTLE_ENDIAN
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"

Context = tuple[str, Sequence[str]]
"""Abstract syntax and transfer syntaxes of a presentation context."""

VERIFICATION: Context = (uids.VERIFICATION, (IMPLICIT,))
CT_STORAGE: Context = (CT_IMAGE_STORAGE, (EXPLICIT,))
STUDY_ROOT_FIND: Context = (uids.STUDY_ROOT_FIND, (EXPLICIT,))

RELEASE_REQUEST = struct.pack(">BBII", RELEASE_RQ, 0, 4, 0)


# -- sockets ---------------------------------------------------------------------------------------------------------


def connect(address: Address, timeout_s: float = TIMEOUT_S) -> socket.socket:
    """Open a TCP connection to the node; whoever waits for it longer than `timeout_s` gets a TimeoutError."""
    sock = socket.create_connection((address.host, address.port), timeout=timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def reset(sock: socket.socket) -> None:
    """Close a connection with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def receive_exactly(sock: socket.socket, count: int) -> bytes:
    """Receive so many bytes.

    Raises
    ------
    ConnectionError
        The connection ended first.
    """
    received = bytearray()
    while len(received) < count:
        piece = sock.recv(count - len(received))
        if not piece:
            raise ConnectionError(f"the connection ended after {len(received)} of {count} bytes")
        received += piece
    return bytes(received)


def receive_pdu(sock: socket.socket) -> tuple[int, bytes]:
    """Receive a PDU: its type, and what comes behind the header."""
    header = receive_exactly(sock, PDU_HEADER_BYTES)
    return header[0], receive_exactly(sock, int.from_bytes(header[2:], "big"))


def receive_until_closed(sock: socket.socket) -> bytes:
    """Receive what comes until the node has closed the connection, and close it here too."""
    received = bytearray()
    with sock, suppress(ConnectionError):
        while piece := sock.recv(65_536):
            received += piece
    return bytes(received)


def send_while_open(sock: socket.socket, pieces: Iterable[bytes]) -> int:
    """Send pieces until none is left or the node has closed the connection; return how many bytes went."""
    count = 0
    with suppress(ConnectionError):
        for piece in pieces:
            sock.sendall(piece)
            count += len(piece)
    return count


# -- PDUs ------------------------------------------------------------------------------------------------------------


def pdu(pdu_type: int, body: bytes, announced_length: int | None = None) -> bytes:
    """Encode a PDU, with another length in its header if that is given (PS3.8 9.3.1)."""
    length = len(body) if announced_length is None else announced_length
    return struct.pack(">BBI", pdu_type, 0, length) + body


def _item(item_type: int, body: bytes) -> bytes:
    return struct.pack(">BBH", item_type, 0, len(body)) + body


def associate_request(
    address: Address,
    calling_ae_title: str | bytes,
    contexts: Sequence[Context] = (VERIFICATION,),
    *,
    pdu_length: int = PDU_LENGTH,
    user_items: bytes = b"",
) -> bytes:
    """Encode an A-ASSOCIATE-RQ (PS3.8 9.3.2).

    Parameters
    ----------
    address : Address
        Whose AE title is called.
    calling_ae_title : str or bytes
        Who calls; bytes go out as they are, padded to 16.
    contexts : sequence of Context
        They get the IDs 1, 3, 5 ...
    pdu_length : int
        The longest PDU that we are said to receive.
    user_items : bytes
        More sub-items of the User Information Item, encoded.
    """
    if isinstance(calling_ae_title, str):
        calling_ae_title = calling_ae_title.encode("ascii")
    titles = address.ae_title.encode("ascii").ljust(16) + calling_ae_title.ljust(16)[:16]
    user_information = (
        _item(0x51, struct.pack(">I", pdu_length)) + _item(0x52, b"1.2.826.0.1.3680043.9.9999.1") + user_items
    )
    body = struct.pack(">HH", 1, 0) + titles + bytes(32) + _item(0x10, b"1.2.840.10008.3.1.1.1")
    body += b"".join(_context_item(2 * index + 1, *context) for index, context in enumerate(contexts))
    return pdu(ASSOCIATE_RQ, body + _item(0x50, user_information))


def _context_item(context_id: int, abstract_syntax: str, transfer_syntaxes: Sequence[str]) -> bytes:
    syntaxes = b"".join(_item(0x40, uid.encode()) for uid in transfer_syntaxes)
    return _item(0x20, bytes([context_id, 0, 0, 0]) + _item(0x30, abstract_syntax.encode()) + syntaxes)


def associate(
    address: Address,
    calling_ae_title: str,
    contexts: Sequence[Context] = (VERIFICATION,),
    *,
    pdu_length: int = PDU_LENGTH,
    timeout_s: float = TIMEOUT_S,
) -> socket.socket:
    """Open an association and return its socket.

    Raises
    ------
    ConnectionError
        The node did not accept it; the text says how it was answered.
    """
    sock = connect(address, timeout_s)
    try:
        sock.sendall(associate_request(address, calling_ae_title, contexts, pdu_length=pdu_length))
        pdu_type, body = receive_pdu(sock)
    except BaseException:
        sock.close()
        raise
    if pdu_type != ASSOCIATE_AC:
        sock.close()
        raise ConnectionError(f"not accepted, PDU type {pdu_type:02X} {body.hex()}")
    return sock


def rejection(address: Address, calling_ae_title: str) -> tuple[int, int, int] | None:
    """Ask for an association; return result, source and reason of its rejection (PS3.8 9.3.4), None if accepted."""
    with connect(address) as sock:
        sock.sendall(associate_request(address, calling_ae_title))
        pdu_type, body = receive_pdu(sock)
        return (body[1], body[2], body[3]) if pdu_type == ASSOCIATE_RJ else None


def release(sock: socket.socket) -> None:
    """Release an association in order, and close its connection."""
    with sock:
        sock.sendall(RELEASE_REQUEST)
        while receive_pdu(sock)[0] != RELEASE_RP:
            pass


# -- messages --------------------------------------------------------------------------------------------------------


def message(
    context_id: int,
    command_set: dict[str, object],
    data_set: bytes | None = None,
    *,
    pdu_length: int = PDU_LENGTH,
) -> bytes:
    """Encode a DIMSE message as P-DATA-TF PDUs; the command set says whether a data set follows."""
    data_set_type = NO_DATA_SET if data_set is None else DATA_SET_FOLLOWS
    encoded = encode_command_set({"CommandDataSetType": data_set_type} | command_set)
    pieces = pdata_pieces(context_id, encoded, True, pdu_length)
    if data_set is not None:
        pieces += pdata_pieces(context_id, data_set, False, pdu_length)
    return b"".join(pieces)


def fragment(context_id: int, value: bytes, *, command: bool = False, last: bool = False) -> bytes:
    """Encode a P-DATA-TF PDU with a part of a command set or data set (PS3.8 E.2)."""
    control = (0x01 if command else 0) | (0x02 if last else 0)
    return pdu(P_DATA, struct.pack(">IBB", len(value) + 2, context_id, control) + value)


def echo_request(message_id: int = 1, context_id: int = 1) -> bytes:
    """Encode a C-ECHO request."""
    return message(
        context_id,
        {
            "AffectedSOPClassUID": uids.VERIFICATION,
            "CommandField": CommandField.C_ECHO,
            "MessageID": message_id,
        },
    )


def store_request(
    data_set: bytes,
    sop_instance_uid: str,
    *,
    sop_class_uid: str = CT_IMAGE_STORAGE,
    message_id: int = 1,
    context_id: int = 1,
) -> bytes:
    """Encode a C-STORE request with its data set."""
    command_set = store_command_set(sop_instance_uid, sop_class_uid=sop_class_uid, message_id=message_id)
    return message(context_id, command_set, data_set)


def store_command_set(
    sop_instance_uid: str, *, sop_class_uid: str = CT_IMAGE_STORAGE, message_id: int = 1
) -> dict[str, object]:
    """Return the command set of a C-STORE request."""
    return {
        "AffectedSOPClassUID": sop_class_uid,
        "CommandField": CommandField.C_STORE,
        "MessageID": message_id,
        "Priority": 0,
        "CommandDataSetType": DATA_SET_FOLLOWS,
        "AffectedSOPInstanceUID": sop_instance_uid,
    }


def receive_command_set(sock: socket.socket) -> dict[str, int | str | bytes]:
    """Receive a message and return its command set; its data set is passed over.

    Raises
    ------
    ConnectionError
        The node aborted, or the connection ended.
    """
    command_set = _receive_whole(sock)
    decoded = decode_command_set(command_set)
    if decoded.get("CommandDataSetType", NO_DATA_SET) != NO_DATA_SET:
        _receive_whole(sock)
    return decoded


def receive_status(sock: socket.socket) -> int:
    """Receive a response and return its status."""
    return int(receive_command_set(sock)["Status"])


def _receive_whole(sock: socket.socket) -> bytes:
    """Receive a command set or a data set; the node sends one presentation data value in a PDU."""
    received = b""
    while True:
        pdu_type, body = receive_pdu(sock)
        if pdu_type != P_DATA:
            raise ConnectionError(f"the association ended with PDU type {pdu_type:02X} {body.hex()}")
        received += body[PDV_HEADER_BYTES:]
        if body[5] & 0x02:
            return received


def recorded_association(
    address: Address, calling_ae_title: str, data_set: bytes, sop_instance_uid: str
) -> bytes:
    """Return all that a peer sends in an association: request, C-ECHO, C-STORE, release."""
    return b"".join(
        [
            associate_request(address, calling_ae_title, (VERIFICATION, CT_STORAGE)),
            echo_request(1, context_id=1),
            store_request(data_set, sop_instance_uid, message_id=2, context_id=3),
            RELEASE_REQUEST,
        ]
    )
