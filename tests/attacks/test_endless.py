"""Messages that do not end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from medserver.dicom import uids
from medserver.wire.command_set import CommandField
from tests.attacks import raw
from tests.attacks.siege import Siege
from tests.services.client import Client
from tests.services.corpus import make_object

OBJECT_SIZE_MAX_BYTES = 1024 * 1024
NODE_OPTIONS = {"limits.object_size_max_bytes": OBJECT_SIZE_MAX_BYTES}

OUT_OF_RESOURCES = 0xA700
PIECE = bytes(16_000)
ENDLESS_BYTES = 64 * OBJECT_SIZE_MAX_BYTES
"""More than the node and all socket buffers in between could ever hold."""


def endless(head: bytes, piece: bytes) -> Iterator[bytes]:
    """Return a head and so many pieces that nobody could take them all."""
    return itertools.chain([head], itertools.repeat(piece, ENDLESS_BYTES // len(piece)))


def stored_bytes(siege: Siege) -> int:
    """Return how much the volume holds, the journal with its fixed size left out."""
    files = (path for path in siege.node.data.glob("store/**/*") if "journal" not in path.parts)
    return sum(_size(path) for path in files)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # placed or removed since
        return 0


def assert_nothing_stays(siege: Siege, sop_instance_uid: str, before_bytes: int) -> None:
    """Assert that a refused instance is neither found nor kept."""
    client = Client(siege.node.address)
    assert client.find("IMAGE", {"SOPInstanceUID": sop_instance_uid}, model="STUDY").identifiers == []
    assert stored_bytes(siege) == before_bytes


def test_a_data_set_beyond_the_limit(siege: Siege) -> None:
    """It is answered with A700, and the association goes on."""
    before_bytes = stored_bytes(siege)
    instance = make_object()
    data_set = instance.data_set().ljust(OBJECT_SIZE_MAX_BYTES * 3 // 2, b"\0")

    def attack() -> None:
        sock = raw.associate(siege.node.address, "STORESCU", (raw.CT_STORAGE, raw.VERIFICATION))
        for message_id in range(1, 6):
            sock.sendall(raw.store_request(data_set, instance.sop_instance_uid, message_id=message_id))
            assert raw.receive_status(sock) == OUT_OF_RESOURCES
        sock.sendall(raw.echo_request(context_id=3))
        assert raw.receive_status(sock) == 0
        raw.release(sock)

    siege.withstands(attack)
    assert_nothing_stays(siege, instance.sop_instance_uid, before_bytes)


def test_an_endless_data_set(siege: Siege) -> None:
    """It is read and dropped for as long again as an object may be; then the association ends."""
    before_bytes = stored_bytes(siege)
    instance = make_object()
    head = raw.store_request(instance.data_set(), instance.sop_instance_uid)
    head = head[: -len(instance.data_set()) - raw.PDU_HEADER_BYTES - 6]  # the command set alone
    head += raw.fragment(1, instance.data_set())

    def attack() -> None:
        for _ in range(5):
            with raw.associate(siege.node.address, "STORESCU", (raw.CT_STORAGE,)) as sock:
                sent_bytes = raw.send_while_open(sock, endless(head, raw.fragment(1, PIECE)))
                assert sent_bytes < ENDLESS_BYTES

    siege.withstands(attack)
    assert_nothing_stays(siege, instance.sop_instance_uid, before_bytes)


@pytest.mark.parametrize("piece", [bytes(1000), bytes(1)], ids=["thousands", "bytes"])
def test_an_endless_command_set(siege: Siege, piece: bytes) -> None:
    """It is aborted beyond its limit, and what still comes is dropped for a moment."""

    def attack() -> None:
        for _ in range(3):
            with raw.associate(siege.node.address, "STORESCU", (raw.CT_STORAGE,)) as sock:
                raw.send_while_open(sock, endless(b"", raw.fragment(1, piece, command=True)))

    siege.withstands(attack)


def test_an_endless_identifier(siege: Siege) -> None:
    """A query whose identifier does not end is refused like an object."""
    command_set = {
        "AffectedSOPClassUID": uids.STUDY_ROOT_FIND,
        "CommandField": CommandField.C_FIND,
        "MessageID": 1,
        "Priority": 0,
        "CommandDataSetType": raw.DATA_SET_FOLLOWS,
    }
    head = raw.message(1, command_set)

    def attack() -> None:
        for _ in range(5):
            with raw.associate(siege.node.address, "FINDSCU", (raw.STUDY_ROOT_FIND,)) as sock:
                sent_bytes = raw.send_while_open(sock, endless(head, raw.fragment(1, PIECE)))
                assert sent_bytes < ENDLESS_BYTES

    siege.withstands(attack)


def test_fragments_of_nothing(siege: Siege) -> None:
    """Fragments without a byte count against no limit: they may go on, and hold up nobody."""
    nothing = raw.fragment(1, b"") * 1000

    def attack() -> None:
        instance = make_object()
        head = raw.message(1, raw.store_command_set(instance.sop_instance_uid))
        with raw.associate(siege.node.address, "STORESCU", (raw.CT_STORAGE,)) as sock:
            sock.sendall(head)
            for _ in range(100):
                sock.sendall(nothing)
            sock.sendall(raw.fragment(1, instance.data_set(), last=True))
            assert raw.receive_status(sock) == 0

    siege.withstands(attack)
