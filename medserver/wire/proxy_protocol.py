"""The header by which a TCP balancer says for whom it connects: PROXY protocol, version 2.

Of its contents only the source address is used. The certificate that a balancer has seen is of no use here: TLS goes
through it, and ends at the node.
"""

from __future__ import annotations

import ipaddress

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED_BYTES = 16
LENGTH_MAX = 4096
"""The longest rest of a header that is read: addresses, and some hundred bytes that balancers add."""

_LOCAL, _PROXY = 0x20, 0x21
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}  # TCP over IPv4, TCP over IPv6


def missing_bytes(received: bytes | bytearray) -> int:
    """Return how many bytes of a header are to come for the next decision; 0 if it is here.

    Raises
    ------
    ValueError
        It is none.
    """
    count = len(received)
    if bytes(received[: len(SIGNATURE)]) != SIGNATURE[:count]:
        raise ValueError("no header of the PROXY protocol, version 2")
    if count < FIXED_BYTES:
        return FIXED_BYTES - count
    length = int.from_bytes(received[14:FIXED_BYTES], "big")
    if length > LENGTH_MAX:
        raise ValueError(f"a header of the PROXY protocol with {length} bytes")
    return FIXED_BYTES + length - count


def source_of(header: bytes | bytearray) -> str | None:
    """Return the address for which a balancer connects; None if it connects by itself, to see whether we are there.

    Raises
    ------
    ValueError
        It does not say.
    """
    command, family = header[12], header[13]
    if command == _LOCAL:
        return None
    size = _ADDRESS_BYTES.get(family)
    if command != _PROXY or size is None or len(header) < FIXED_BYTES + 2 * size + 4:
        raise ValueError(f"a header of the PROXY protocol without a TCP address ({command:02X} {family:02X})")
    return str(ipaddress.ip_address(bytes(header[FIXED_BYTES : FIXED_BYTES + size])))
