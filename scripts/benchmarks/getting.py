"""C-GET by a client of a few lines, over TLS or in the clear: DCMTK's getscu knows no TLS.

What it receives it throws away.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time

from medserver.dicom import uids
from medserver.wire.command_set import RESPONSE, CommandField, decode_command_set
from tests.attacks import raw
from tests.peers import Address

PDU_LENGTH = 131_072
_GET, _STORAGE = 1, 3
_COMMAND, _LAST = 0x01, 0x02
_SUCCESS = 0x0000


class Getting:
    """An association for C-GET of CT images.

    Parameters
    ----------
    address : Address
        Who is asked.
    context : SSLContext or None
        Of TLS; None for the clear.
    """

    def __init__(self, address: Address, context: ssl.SSLContext | None) -> None:
        plain = raw.connect(address, 60.0)
        self._sock: socket.socket = plain if context is None else context.wrap_socket(plain)
        self._room = memoryview(bytearray(raw.PDU_HEADER_BYTES + PDU_LENGTH))
        uid = raw.CT_IMAGE_STORAGE.encode()
        role = struct.pack(">BBHH", 0x54, 0, len(uid) + 4, len(uid)) + uid + b"\0\1"
        contexts = [(uids.STUDY_ROOT_GET, (raw.IMPLICIT,)), raw.CT_STORAGE]
        request = raw.associate_request(address, "GETSCU", contexts, pdu_length=PDU_LENGTH, user_items=role)
        self._sock.sendall(request)
        if raw.receive_pdu(self._sock)[0] != raw.ASSOCIATE_AC:
            raise ConnectionError(f"{address.ae_title} does not accept")

    def get(self, study_instance_uid: str) -> tuple[int, float]:
        """Retrieve a study; return how many images were received, and the seconds."""
        identifier = _element(0x0008, 0x0052, b"STUDY ") + _element(0x0020, 0x000D, study_instance_uid.encode())
        command = {"AffectedSOPClassUID": uids.STUDY_ROOT_GET, "CommandField": CommandField.C_GET, "MessageID": 1}
        begin = time.perf_counter()
        self._sock.sendall(raw.message(_GET, command | {"Priority": 0}, identifier))
        count = 0
        while True:
            command_set = self._message()
            if command_set["CommandField"] != CommandField.C_STORE:
                if command_set["CommandField"] != CommandField.C_GET | RESPONSE or command_set["Status"] != 0xFF00:
                    break
                continue
            count += 1
            self._sock.sendall(raw.message(_STORAGE, {
                "AffectedSOPClassUID": command_set["AffectedSOPClassUID"],
                "AffectedSOPInstanceUID": command_set["AffectedSOPInstanceUID"],
                "CommandField": CommandField.C_STORE | RESPONSE,
                "MessageIDBeingRespondedTo": command_set["MessageID"],
                "Status": _SUCCESS,
            }))  # fmt: skip
        if command_set.get("Status") != _SUCCESS:
            raise ConnectionError(f"the C-GET ended with {command_set}")
        return count, time.perf_counter() - begin

    def close(self) -> None:
        """Release the association."""
        raw.release(self._sock)

    def _message(self) -> dict[str, int | str | bytes]:
        """Receive a message, and return its command set."""
        encoded, command_set, is_whole = b"", {}, False
        while not is_whole:
            pdvs = self._pdu()
            while pdvs:
                length, _, control = struct.unpack_from(">IBB", pdvs)
                value, pdvs = pdvs[6 : 4 + length], pdvs[4 + length :]
                if control & _COMMAND:
                    encoded += value
                if control & _LAST and control & _COMMAND:
                    command_set = decode_command_set(encoded)
                    is_whole = command_set["CommandDataSetType"] == raw.NO_DATA_SET
                elif control & _LAST:
                    is_whole = True
        return command_set

    def _pdu(self) -> memoryview:
        """Receive a P-DATA-TF PDU, and return what is in it."""
        self._fill(0, raw.PDU_HEADER_BYTES)
        if self._room[0] != raw.P_DATA:
            raise ConnectionError(f"a PDU of type {self._room[0]}")
        end = raw.PDU_HEADER_BYTES + int.from_bytes(self._room[2 : raw.PDU_HEADER_BYTES], "big")
        self._fill(raw.PDU_HEADER_BYTES, end)
        return self._room[raw.PDU_HEADER_BYTES : end]

    def _fill(self, start: int, end: int) -> None:
        while start < end:
            count = self._sock.recv_into(self._room[start:end])
            if not count:
                raise ConnectionError("the connection ended")
            start += count


def _element(group: int, number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", group, number, len(value)) + value
