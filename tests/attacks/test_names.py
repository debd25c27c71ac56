"""AE titles and UIDs that are paths, commands, too long or no text: as names of anything, and in the log."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from medserver.dicom import uids
from medserver.dicom.uids import is_valid_uid
from medserver.wire.command_set import CommandField
from tests.attacks import exchange, hostile, raw
from tests.attacks.acceptor import RELEASE_RESPONSE, Acceptor, Conversation, accept, answer_stores
from tests.attacks.hostile import element, query
from tests.attacks.siege import Siege
from tests.services import corpus

NODE_OPTIONS = {"log.level": "debug"}

FORGED = b"\n2026-01-01T00:00:00.000Z INFO 1-1 forged"

NAMES = (
    b"", b" ", b".", b"..", b"../x", b"../../../../tmp/x", b"/etc/passwd", b"1.2/../../x", b"1.2.3/", b"C:\\x", b"~",
    b"1.2\0.3", b"\0", b"1.2\0/../x", b"9" * 65, b"1." * 32 + b"1", b"1.2" + b"\0" * 70, b"A" * 300, b"x" * 5000,
    "ü".encode(), "ü".encode("latin-1"), "１.２".encode(), "\u202e1.2".encode(), b"\xff\xfe", b"\xc3",
    b"-rf", b"$(id)", b"`id`", b"%s%n%x", b"{0}", b"1.2;x", b"1.2\\1.3", b"1..2", b"01.2", b"*", b"1.?",
    b"\r\n", b"1.2" + FORGED, b"\x1b[2J\x1b[31m", b"\x9b2J", b"\x07\x08\x7f",
)  # fmt: skip

LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ \S+ )[^\n]*")
LINE_LENGTH_MAX = 4500


@pytest.fixture(scope="module", autouse=True)
def harmless(siege: Siege) -> Iterator[None]:
    """See at the end what is in the log, and which files there are."""
    surroundings = siege.node.directory.parent
    before = set(surroundings.iterdir())
    yield
    check_log(siege.node.output)
    assert set(surroundings.iterdir()) == before
    check_files(siege.node.directory)


def check_log(output: str) -> None:
    """Assert that each line is an event of ours, without a sign that does something."""
    lines = output.split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert LINE.fullmatch(line), line
        assert line.isprintable(), line
        assert len(line) < LINE_LENGTH_MAX, line
        assert not line.endswith("1-1 forged") or "\\n" in line, line


def check_files(directory: Path) -> None:
    """Assert that there are no other files than those of ours, with names of ours."""
    ours = re.compile(
        r"config\.ini|serve\.log|data/(lock|node|index\.db(-wal|-shm)?|store/(medserver-volume\.json"
        r"|incoming/([0-9a-f]{16}/)?(lock|[0-9a-f-]+\.part)|journal/\d{20}\.(active|sealed|spare|filling)|\d{4}/\d\d/\d\d/\d{4}/[0-9a-f]{64}(-\d+)?\.dcm))"
    )
    names = [str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()]
    assert [name for name in names if not ours.fullmatch(name)] == []


# -- in an association request ----------------------------------------------------------------------------------------


def request_with(siege: Siege, place: str, name: bytes) -> bytes:
    """Return an A-ASSOCIATE-RQ that has a name in one of its places."""
    whole = raw.associate_request(siege.node.address, "STORESCU", [raw.CT_STORAGE])
    body = bytearray(whole[raw.PDU_HEADER_BYTES :])
    if place in ("called", "calling"):
        offset = 4 if place == "called" else 20
        body[offset : offset + 16] = name[:16].ljust(16)
        return raw.pdu(raw.ASSOCIATE_RQ, bytes(body))
    names = {
        "application context": b"1.2.840.10008.3.1.1.1",
        "abstract syntax": raw.CT_IMAGE_STORAGE.encode(),
        "transfer syntax": raw.EXPLICIT.encode(),
        "implementation": b"1.2.826.0.1.3680043.9.9999.1",
    }
    return raw.pdu(raw.ASSOCIATE_RQ, _renamed(bytes(body), names[place], name))


def _renamed(body: bytes, old: bytes, new: bytes) -> bytes:
    """Replace the value of an item, and mend the lengths of the items around it."""
    start = body.index(struct.pack(">H", len(old)) + old)
    renamed = body[:start] + struct.pack(">H", len(new)) + new + body[start + 2 + len(old) :]
    grown = len(new) - len(old)
    for item_type, length_at in ((0x20, None), (0x50, None)):
        position = 68
        while position < len(body) and length_at is None:
            kind, length = struct.unpack_from(">BxH", body, position)
            if kind == item_type and position < start < position + 4 + length:
                length_at = position + 2
                renamed = renamed[:length_at] + struct.pack(">H", length + grown) + renamed[length_at + 2 :]
            position += 4 + length
    return renamed


PLACES = ("called", "calling", "application context", "abstract syntax", "transfer syntax", "implementation")


def answer_to(place: str, name: bytes) -> int:
    """Return the PDU type of the answer to a request that has a name in one of its places."""
    if place in ("called", "calling", "application context"):
        return raw.ASSOCIATE_RJ
    is_missing = not name.strip(b"\0")
    is_taken_in = place == "implementation" or (name.isascii() and len(name) <= 64 and not is_missing)
    return raw.ASSOCIATE_AC if is_taken_in else raw.ABORT


def test_in_a_request(siege: Siege) -> None:
    """It is rejected as the name of nobody, aborted as a malformed UID, or without meaning; what is accepted works."""

    def attack() -> None:
        for place, name in product(PLACES, NAMES):
            with raw.connect(siege.node.address) as sock:
                sock.sendall(request_with(siege, place, name))
                pdu_type = raw.receive_pdu(sock)[0]
                assert pdu_type == answer_to(place, name), (place, name)
                if pdu_type == raw.ASSOCIATE_AC:
                    raw.release(sock)
                else:
                    sock.shutdown(socket.SHUT_WR)

    siege.withstands(attack)


def test_unknown_callers_are_listed_harmlessly(siege: Siege) -> None:
    """The names above are in the list for the administrator, those too that are no AE titles."""
    shown = siege.node.cli("ae", "pending").check().output
    assert "../x" in shown
    assert all(line.isprintable() for line in shown.split("\n"))


# -- in a command set -----------------------------------------------------------------------------------------------


def command_set(values: dict[int, bytes]) -> bytes:
    """Encode a command set of any bytes: element number to value."""
    body = b"".join(struct.pack("<HHI", 0, number, len(value)) + value for number, value in sorted(values.items()))
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


SOP_CLASS, SOP_INSTANCE, DESTINATION, ORIGINATOR = 0x0002, 0x1000, 0x0600, 0x1030
VALUE_LENGTH_MAX = 256
"""A longer name or UID in a command set ends the association."""


def us(value: int) -> bytes:
    """Encode a value of VR US."""
    return struct.pack("<H", value)


def send(sock: socket.socket, values: dict[int, bytes], data_set: bytes) -> int | None:
    """Send a message; return the status, or None if the node ends the association."""
    numbers = {0x0110: us(1), 0x0700: us(0), 0x0800: us(1)}
    try:
        sock.sendall(raw.fragment(1, command_set(numbers | values), command=True, last=True))
        sock.sendall(raw.fragment(1, data_set, last=True))
        return raw.receive_status(sock)
    except ConnectionError:
        return None


def test_in_a_store(siege: Siege) -> None:
    """Nothing is stored under such a name. Who the Move Originator is does not matter."""

    def attack() -> None:
        for number, name in product((SOP_INSTANCE, SOP_CLASS, ORIGINATOR), NAMES):
            whole = corpus.make_object()
            values = {
                0x0100: us(CommandField.C_STORE),
                SOP_CLASS: whole.sop_class_uid.encode(),
                SOP_INSTANCE: whole.sop_instance_uid.encode(),
            } | {number: name}
            is_other = is_valid_uid(name.rstrip(b"\0").decode("latin-1"))  # a UID, but not that of the data set
            expected = {SOP_INSTANCE: 0xA900 if is_other else 0x0117, SOP_CLASS: 0xA900, ORIGINATOR: 0}
            with raw.associate(siege.node.address, "STORESCU", (raw.CT_STORAGE,)) as sock:
                status = send(sock, values, whole.encoded)
            assert status == (None if len(name) > VALUE_LENGTH_MAX else expected[number]), (number, name)

    siege.withstands(attack)


def test_as_a_destination(siege: Siege) -> None:
    identifier = query("STUDY", element(hostile.STUDY_INSTANCE_UID, "UI", b"1.2"))
    values = {0x0100: us(CommandField.C_MOVE), SOP_CLASS: uids.STUDY_ROOT_MOVE.encode()}

    def attack() -> None:
        for name in NAMES:
            context = (uids.STUDY_ROOT_MOVE, (raw.EXPLICIT,))
            with raw.associate(siege.node.address, "MOVESCU", (context,)) as sock:
                status = send(sock, values | {DESTINATION: name}, identifier)
                assert status == (None if len(name) > VALUE_LENGTH_MAX else 0xA801), name

    siege.withstands(attack)


# -- in a data set --------------------------------------------------------------------------------------------------


def test_as_a_uid_in_a_data_set(siege: Siege) -> None:
    """It is refused: the data set is not that of the command, or belongs to no study or series."""
    keywords = ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID")

    def attack() -> None:
        with exchange.storing(siege.node.address) as store:
            for keyword, name in product(keywords, NAMES):
                if is_valid_uid(name.strip(b" \0").decode("latin-1")):
                    continue  # padded more than it need be
                whole = corpus.make_object()
                tag = whole.dataset[keyword].tag
                value = str(whole.dataset[keyword].value).encode()
                old = element(tag, "UI", value + b"\0" * (len(value) % 2))
                assert old in whole.encoded
                data_set = whole.encoded.replace(old, element(tag, "UI", name))
                assert store(data_set, whole.sop_instance_uid) == 0xA900, (keyword, name)

    siege.withstands(attack)


def test_as_other_values(siege: Siege) -> None:
    """A Patient ID may be anything: it is stored, found under its name, and names no file."""

    def attack() -> None:
        with exchange.storing(siege.node.address) as store, exchange.finding(siege.node.address) as find:
            for name in NAMES:
                whole = corpus.make_object()
                old = element(0x00100020, "LO", b"CORPUS")
                assert old in whole.encoded
                data_set = whole.encoded.replace(old, element(0x00100020, "LO", name))
                assert store(data_set, whole.sop_instance_uid) == 0, name
                study = whole.dataset.StudyInstanceUID.encode()
                key = element(0x00100020, "LO", name), element(hostile.STUDY_INSTANCE_UID, "UI", study)
                # A Patient ID is one value of 64 characters; an escape sequence is no text by itself.
                if not set(name) & set(b"\\\x1b") and len(name) <= 64:
                    assert find(query("STUDY", *key)) == (0, 1), name

    siege.withstands(attack)


def test_as_a_level(siege: Siege) -> None:
    with exchange.finding(siege.node.address) as find:
        for level in NAMES:
            identifier = element(0x00080052, "CS", level) + element(hostile.STUDY_INSTANCE_UID, "UI", b"1.2")
            assert find(identifier)[0] == 0xA900, level


# -- in what a remote AE says ----------------------------------------------------------------------------------------


def test_as_a_comment_of_a_remote_ae(siege: Siege) -> None:
    """Why the destination of a C-MOVE refused an instance is for the peer to read, and harmless in the log."""
    node = siege.node
    whole = corpus.make_object()
    study = whole.dataset.StudyInstanceUID.encode()
    identifier = query("STUDY", element(hostile.STUDY_INSTANCE_UID, "UI", study))
    assert exchange.store(node.address, whole.encoded, whole.sop_instance_uid) == 0
    remote = Acceptor("COMMENTING", lambda sock, request: None)
    node.add_remote(remote.address, allow=())

    def converse_with(text: str) -> Conversation:
        def converse(sock: socket.socket, request: bytes) -> None:
            sock.sendall(accept(request))
            if answer_stores(sock, 0xA700, ErrorComment=text, AffectedSOPInstanceUID=text):
                sock.sendall(RELEASE_RESPONSE)

        return converse

    def attack() -> None:
        with exchange.moving(node.address) as move:
            for name in NAMES:
                remote.converse = converse_with(name.decode("latin-1"))
                assert move("COMMENTING", identifier) == 0xA702, name

    try:
        siege.withstands(attack)
    finally:
        remote.close()
