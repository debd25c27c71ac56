"""P-DATA-TF PDUs from bytes, without copying the bytes (PS3.8 9.3.5, E.2)."""

from __future__ import annotations

import struct

PDV_HEADER_BYTES = 6

_HEADER = struct.Struct(">BBIIBB")
_P_DATA_TF = 0x04
_LAST = 0x02
_COMMAND = 0x01


def fragment_bytes(pdu_length: int) -> int:
    """Return the length of the fragments for a peer that receives PDUs of at most `pdu_length` bytes.

    Each has an even number of bytes (PS3.8 E.1), also where the peer announces an odd length: DCMTK ends the
    association at an odd one.
    """
    return (pdu_length - PDV_HEADER_BYTES) & ~1


def _header(context_id: int, control: int, size_bytes: int) -> bytes:
    """Return the header of a PDU with one presentation data value of `size_bytes`."""
    return _HEADER.pack(_P_DATA_TF, 0, size_bytes + PDV_HEADER_BYTES, size_bytes + 2, context_id, control)


def pdata_pieces(context_id: int, value: bytes, is_command: bool, pdu_length: int) -> list[bytes | memoryview]:
    """Return a whole command set or data set as PDUs: header, fragment, header, fragment ...

    Parameters
    ----------
    pdu_length : int
        The largest PDU length that the peer receives.
    """
    control = _COMMAND if is_command else 0
    fragment = fragment_bytes(pdu_length)
    if len(value) <= fragment:
        return [_header(context_id, control | _LAST, len(value)), value]
    return fragment_pieces(context_id, memoryview(value), True, pdu_length, control)


def fragment_pieces(
    context_id: int, chunk: memoryview, is_last: bool, pdu_length: int, control: int = 0
) -> list[bytes | memoryview]:
    """Return a part of a data set as PDUs; `is_last` says that the data set ends with it."""
    fragment = fragment_bytes(pdu_length)
    whole = _header(context_id, control, fragment)
    pieces: list[bytes | memoryview] = []
    for start in range(0, len(chunk), fragment) or (0,):
        piece = chunk[start : start + fragment]
        ends = is_last and start + fragment >= len(chunk)
        if ends or len(piece) != fragment:
            pieces.append(_header(context_id, control | (_LAST if ends else 0), len(piece)))
        else:
            pieces.append(whole)
        pieces.append(piece)
    return pieces
