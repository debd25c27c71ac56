"""Frames of syslog, and the chain."""

from __future__ import annotations

import hashlib
import json

from medserver.audit import AuditRow
from medserver.audit.chain import BEGINNING, digest_of
from medserver.audit.syslog import framed, syslog_message

ROW = AuditRow(
    "2026-11-30T12:00:00.123+00:00", "MEDSERVER", "110100", "E", 0, "4711", "", "<AuditMessage>é</AuditMessage>"
)


def test_a_message_is_that_of_rfc_5424() -> None:
    message = syslog_message(ROW.message, ROW.at, "archive ward\n7")
    header, _, text = message.partition(b"\xef\xbb\xbf")
    assert header == b"<85>1 2026-11-30T12:00:00.123Z archiveward7 medserver - IHE+RFC-3881 - "
    assert text.decode() == ROW.message


def test_a_frame_counts_octets() -> None:
    message = syslog_message(ROW.message, ROW.at, "archive")
    length, _, rest = framed(message).partition(b" ")
    assert (int(length), rest) == (len(message), message)


def test_the_digest_is_what_its_description_says() -> None:
    text = json.dumps([BEGINNING, 1, *ROW], separators=(",", ":"))
    assert digest_of(BEGINNING, 1, ROW) == hashlib.sha256(text.encode("ascii")).hexdigest()


def test_every_field_and_the_place_count() -> None:
    changed = [ROW._replace(**{name: 4 if name == "outcome" else getattr(ROW, name) + "x"}) for name in ROW._fields]
    digests = {digest_of(BEGINNING, 1, row) for row in (ROW, *changed)}
    digests |= {digest_of(BEGINNING, 2, ROW), digest_of("1" * 64, 1, ROW)}
    assert len(digests) == len(ROW._fields) + 3
