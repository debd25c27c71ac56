"""Messages as syslog carries them: RFC 5424, framed by RFC 5425 on TLS, a datagram each on UDP (PS3.15 A.6, A.7)."""

from __future__ import annotations

import re
from datetime import datetime

PRIORITY = 10 * 8 + 5
"""Facility 10, security; severity 5, normal but significant (PS3.15 A.6)."""

MSGID = "IHE+RFC-3881"
APPLICATION = "medserver"

BOM = b"\xef\xbb\xbf"
"""Says that what follows is UTF-8 (RFC 5424 6.4)."""

_UNPRINTABLE = re.compile("[^!-~]")


def syslog_message(message: str, at: str, host: str, process_id: str = "-") -> bytes:
    """Return an AuditMessage as a SYSLOG-MSG (RFC 5424 6).

    Parameters
    ----------
    message : str
        The AuditMessage.
    at : str
        When it was: ISO 8601, with milliseconds and the offset of UTC.
    host : str
        HOSTNAME: who tells it.
    process_id : str
        PROCID; ``-`` if it is of no consequence.
    """
    moment = datetime.fromisoformat(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    header = (
        f"<{PRIORITY}>1 {moment} {_name(host, 255)} {APPLICATION} {_name(process_id, 128)} {MSGID} - "
    )
    return header.encode("ascii") + BOM + message.encode("utf-8", "replace")


def framed(message: bytes) -> bytes:
    """Return a SYSLOG-MSG with the count of its octets before it (RFC 5425 4.3)."""
    return f"{len(message)} ".encode("ascii") + message


def _name(text: str, length_max: int) -> str:
    return _UNPRINTABLE.sub("", text)[:length_max] or "-"
