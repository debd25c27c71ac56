"""Association requests that are large, malformed or not welcome."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from medserver.dicom.transfer_syntaxes import TRANSFER_SYNTAXES
from tests.attacks import raw
from tests.attacks.siege import Siege

CONTEXTS_MAX = 128
ATTACKERS = 8
REJECTIONS = 1000

UNKNOWN_SYNTAXES = [f"1.2.840.10008.1.2.4.{number}" for number in range(1000, 1255)]
KNOWN_SYNTAXES = ([syntax.uid for syntax in TRANSFER_SYNTAXES] * 60)[:60]


def in_threads(count: int, attack: Callable[[], object]) -> None:
    """Attack from several threads, and wait until all are done."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            attack()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def repeat(siege: Siege, request: bytes, times: int) -> set[int]:
    """Send a request from several connections at once, time and again; return the types of the answers, -1 for none."""
    answers: set[int] = set()

    def attack() -> None:
        for _ in range(times):
            with raw.connect(siege.node.address) as sock:
                raw.send_while_open(sock, [request])
                try:
                    answers.add(raw.receive_pdu(sock)[0])
                except ConnectionError:
                    answers.add(-1)

    in_threads(ATTACKERS, attack)
    return answers


def test_128_contexts_of_255_transfer_syntaxes(siege: Siege) -> None:
    """It is refused at its header, which announces a megabyte."""
    contexts = [(raw.CT_IMAGE_STORAGE, UNKNOWN_SYNTAXES)] * CONTEXTS_MAX
    request = raw.associate_request(siege.node.address, "STORESCU", contexts)
    siege.withstands(lambda: repeat(siege, request, 5))


@pytest.mark.parametrize("syntaxes", [UNKNOWN_SYNTAXES[:60], KNOWN_SYNTAXES], ids=["unknown", "known"])
@pytest.mark.parametrize("calling_ae_title", ["STORESCU", "NOBODY"])
def test_128_contexts_of_60_transfer_syntaxes(siege: Siege, calling_ae_title: str, syntaxes: list[str]) -> None:
    """It is the largest proposal that is read; it is answered quickly, and others meanwhile."""
    contexts = [(raw.CT_IMAGE_STORAGE, syntaxes)] * CONTEXTS_MAX
    request = raw.associate_request(siege.node.address, calling_ae_title, contexts)
    expected = raw.ASSOCIATE_RJ if calling_ae_title == "NOBODY" else raw.ASSOCIATE_AC

    def attack() -> None:
        assert repeat(siege, request, 5) == {expected}

    siege.withstands(attack)


def test_a_context_of_many_short_transfer_syntaxes(siege: Siege) -> None:
    """As many as fit into an item of 64 kB: comparing each with each would take for ever."""
    contexts = [(raw.CT_IMAGE_STORAGE, [f"1.{number}" for number in range(6000)])] * 4
    request = raw.associate_request(siege.node.address, "STORESCU", contexts)
    siege.withstands(lambda: repeat(siege, request, 5))


def role_items(count: int) -> bytes:
    """Encode so many SCP/SCU Role Selection sub-items (PS3.7 D.3.3.4.1)."""
    uids = (f"1.2.{number}".encode() for number in range(count))
    bodies = (struct.pack(">H", len(uid)) + uid + b"\1\1" for uid in uids)
    return b"".join(struct.pack(">BBH", 0x54, 0, len(body)) + body for body in bodies)


def test_thousands_of_role_selections(siege: Siege) -> None:
    """There is no use for more of them than for contexts."""
    request = raw.associate_request(siege.node.address, "STORESCU", user_items=role_items(4000))
    siege.withstands(lambda: repeat(siege, request, 5))


FIXED_BYTES = 68
"""The fields before the first item (PS3.8 9.3.2)."""


def _body(siege: Siege, contexts: list[raw.Context] | None = None) -> bytearray:
    """Return the body of a request that would be accepted."""
    request = raw.associate_request(siege.node.address, "STORESCU", contexts or [raw.VERIFICATION])
    return bytearray(request[raw.PDU_HEADER_BYTES :])


def _even_context_id(siege: Siege) -> bytes:
    body = _body(siege)
    body[body.index(b"\x20\x00", FIXED_BYTES) + 4] = 2
    return bytes(body)


def _no_transfer_syntax(siege: Siege) -> bytes:
    return bytes(_body(siege, [(raw.CT_IMAGE_STORAGE, [])]))


def _empty_transfer_syntax(siege: Siege) -> bytes:
    return bytes(_body(siege, [(raw.CT_IMAGE_STORAGE, [""])]))


def _empty_abstract_syntax(siege: Siege) -> bytes:
    return bytes(_body(siege, [("", [raw.EXPLICIT])]))


def _no_abstract_syntax(siege: Siege) -> bytes:
    body = bytes(_body(siege))
    return body.replace(struct.pack(">BBH", 0x30, 0, 17), struct.pack(">BBH", 0x40, 0, 17))


def _no_user_information(siege: Siege) -> bytes:
    body = bytes(_body(siege))
    return body[: body.rindex(b"\x50\x00")]


def _no_items(siege: Siege) -> bytes:
    return bytes(_body(siege)[:FIXED_BYTES])


def _no_application_context(siege: Siege) -> bytes:
    body = _body(siege)
    del body[FIXED_BYTES : body.index(b"\x20\x00", FIXED_BYTES)]
    return bytes(body)


def _strange_protocol_version(siege: Siege) -> bytes:
    return b"\0\2" + bytes(_body(siege)[2:])


def _item_that_is_longer_than_the_pdu(siege: Siege) -> bytes:
    return bytes(_body(siege)[:-1])


def _unrecognised_item(siege: Siege) -> bytes:
    return bytes(_body(siege)) + struct.pack(">BBH", 0x99, 0, 4) + b"what"


def _blank_ae_title(siege: Siege) -> bytes:
    body = _body(siege)
    body[20:36] = b" " * 16
    return bytes(body)


def _nul_ae_title(siege: Siege) -> bytes:
    body = _body(siege)
    body[20:36] = bytes(16)
    return bytes(body)


MALFORMED = [
    _even_context_id,
    _no_transfer_syntax,
    _empty_transfer_syntax,
    _empty_abstract_syntax,
    _no_abstract_syntax,
    _no_user_information,
    _no_items,
    _no_application_context,
    _strange_protocol_version,
    _item_that_is_longer_than_the_pdu,
    _unrecognised_item,
    _blank_ae_title,
    _nul_ae_title,
]


@pytest.mark.parametrize("make", MALFORMED)
def test_malformed_requests(siege: Siege, make: Callable[[Siege], bytes]) -> None:
    """Each is answered in order or refused; none ends a thread, and a thousand fill no log."""
    request = raw.pdu(raw.ASSOCIATE_RQ, make(siege))
    lines_before = siege.node.output.count("\n")

    def attack() -> None:
        answers = repeat(siege, request, 10)
        assert answers <= {raw.ASSOCIATE_AC, raw.ASSOCIATE_RJ, raw.ABORT}

    siege.withstands(attack)
    problems = [line for line in siege.node.output.splitlines()[lines_before:] if " INFO " not in line]
    assert len(problems) <= 10, problems


def test_rejected_associations_at_full_speed(siege: Siege) -> None:
    """They are rejected, and noted a few times a minute."""
    lines_before = siege.node.output.count("\n")

    def attack() -> None:
        request = raw.associate_request(siege.node.address, "NOBODY")
        assert repeat(siege, request, REJECTIONS // ATTACKERS) == {raw.ASSOCIATE_RJ}

    siege.withstands(attack)
    lines = siege.node.output.splitlines()[lines_before:]
    assert sum("NOBODY" in line for line in lines) <= 20
    harmless = {line.split()[2] for line in lines if "LEGITIMATE" in line}
    others = [line for line in lines if line.split()[2] not in harmless and "NOBODY" not in line]
    assert len(others) <= 20, others[:30]


def test_associations_that_are_opened_and_closed_at_full_speed(siege: Siege) -> None:
    request = raw.associate_request(siege.node.address, "STORESCU")

    def attack() -> None:
        with ExitStack():
            assert repeat(siege, request, 50) == {raw.ASSOCIATE_AC}

    siege.withstands(attack)
