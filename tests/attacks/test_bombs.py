"""Deflated data sets that become a thousand times as long."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from medserver.dicom import uids
from tests.attacks import exchange, hostile, raw
from tests.attacks.hostile import DEFLATED, EXPLICIT
from tests.attacks.siege import Siege
from tests.services import corpus
from tests.services.client import Client

ZEROS = bytes(1024 * 1024)
BLOCKS = 200
INFLATED_BYTES = BLOCKS * len(ZEROS)
BOMB_MAX_BYTES = 1024 * 1024
MEMORY_MAX_BYTES = 32 * 1024 * 1024
"""How much more memory the processes of the node may hold afterwards: far less than one inflated bomb."""


@pytest.fixture(scope="module", autouse=True)
def modest(siege: Siege) -> Iterator[None]:
    """See at the end that the node never had much memory."""
    with exchange.modest(siege.node):
        yield


@pytest.fixture(scope="module")
def bomb() -> tuple[corpus.Object, bytes]:
    """Give an object, and its data set with 200 MB of pixels behind it, deflated."""
    whole = corpus.make_object(PatientID="BOMB")
    before = whole.encoded + hostile.element(hostile.PIXEL_DATA, "OB", b"", INFLATED_BYTES)
    return whole, hostile.bomb(before, ZEROS, BLOCKS)


@pytest.fixture(scope="module")
def refused_bombs() -> list[bytes]:
    """Give bombs whose identity is nowhere, or behind more than four megabytes of something else."""
    identity = corpus.make_object().encoded
    long_element = hostile.element(hostile.PRIVATE, "UN", b"", INFLATED_BYTES)
    short_element = hostile.element(hostile.PRIVATE, "UN", b"")
    opening = hostile.nested(1, defined=False, closed=False)
    return [
        hostile.bomb(long_element, ZEROS, BLOCKS, identity),
        hostile.bomb(b"", ZEROS, BLOCKS),
        hostile.bomb(b"", short_element * (len(ZEROS) // len(short_element)), BLOCKS, identity),
        hostile.bomb(b"", opening * (len(ZEROS) // len(opening)), BLOCKS),
        hostile.deflated(identity)[:-20],
    ]


def test_bomb_that_is_an_object(siege: Siege, bomb: tuple[corpus.Object, bytes]) -> None:
    """It is stored as it came, and found; nobody inflates more of it than its header."""
    whole, data_set = bomb
    assert len(data_set) < BOMB_MAX_BYTES
    client = Client(siege.node.address)

    def attack() -> None:
        with exchange.storing(siege.node.address, DEFLATED) as store:
            assert [store(data_set, whole.sop_instance_uid) for _ in range(10)] == [0] * 10
        found = client.find("STUDY", {"PatientID": "BOMB", "StudyInstanceUID": ""})
        assert found.values("StudyInstanceUID") == [whole.dataset.StudyInstanceUID]
        keys = {
            "StudyInstanceUID": whole.dataset.StudyInstanceUID,
            "SeriesInstanceUID": whole.dataset.SeriesInstanceUID,
            "SOPInstanceUID": "",
            "KVP": "",
        }
        assert client.find("IMAGE", keys).values("SOPInstanceUID") == [whole.sop_instance_uid]

    siege.withstands(attack, MEMORY_MAX_BYTES)


def test_bombs_that_are_no_objects(siege: Siege, refused_bombs: list[bytes]) -> None:
    uid = uids.new_uid()

    def attack() -> None:
        with exchange.storing(siege.node.address, DEFLATED) as store:
            assert max(map(len, refused_bombs)) < BOMB_MAX_BYTES
            *inflated, cut_off = [store(data_set, uid) for data_set in refused_bombs]
            assert set(inflated) == {0xC000}
            assert cut_off == 0xA900

    siege.withstands(attack, MEMORY_MAX_BYTES)


def test_bomb_for_a_receiver_that_takes_it_inflated_only(
    siege: Siege, bomb: tuple[corpus.Object, bytes]
) -> None:
    """Transcoding refuses what grows more than images do; the peer is told that one instance failed."""
    whole, data_set = bomb
    assert exchange.store(siege.node.address, data_set, whole.sop_instance_uid, DEFLATED) == 0
    exchange.start_workers(siege.node)
    client = Client(siege.node.address, "GETSCU")
    kinds = [(whole.sop_class_uid, EXPLICIT)]
    keys = {"SOPInstanceUID": whole.sop_instance_uid}

    def attack() -> None:
        for model in ("COMPOSITE", "WITHOUT_BULK_DATA"):
            got = client.get("IMAGE", keys, kinds, model=model)
            assert (got.status, got.counters["failed"], got.received) == (0xA702, 1, {})

    siege.withstands(attack, MEMORY_MAX_BYTES)


def test_queries_are_never_deflated(siege: Siege) -> None:
    """The transfer syntax is not accepted for identifiers, so that no bomb can come in as one."""

    def attack() -> None:
        for model in (uids.STUDY_ROOT_FIND, uids.STUDY_ROOT_MOVE, uids.STUDY_ROOT_GET, uids.PATIENT_ROOT_FIND):
            sock = raw.connect(siege.node.address)
            contexts = [(model, (DEFLATED,))]
            sock.sendall(raw.associate_request(siege.node.address, "FINDSCU", contexts))
            pdu_type, body = raw.receive_pdu(sock)
            assert pdu_type == raw.ASSOCIATE_AC
            assert context_results(body) == [4], "transfer syntaxes not supported (PS3.8 9.3.3.2)"
            sock.sendall(raw.message(1, {"AffectedSOPClassUID": model, "CommandField": 0x0020, "MessageID": 1}, b""))
            assert raw.receive_pdu(sock)[0] == raw.ABORT
            sock.close()

    siege.withstands(attack)


def context_results(body: bytes) -> list[int]:
    """Return the result of each presentation context in the body of an A-ASSOCIATE-AC."""
    results, position = [], 68
    while position < len(body):
        item_type, length = struct.unpack_from(">BxH", body, position)
        if item_type == 0x21:
            results.append(body[position + 6])
        position += 4 + length
    return results
