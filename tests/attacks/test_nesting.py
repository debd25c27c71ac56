"""Sequences in sequences: in what is stored, in what is asked for, and in what is read again of what was stored."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from tests.attacks import exchange, hostile
from tests.attacks.hostile import EXPLICIT, IMPLICIT
from tests.attacks.siege import Siege
from tests.services import corpus
from tests.services.client import Client

DEPTHS = (10, 16, 17, 60, 100, 500, 1000, 5000)
DEPTH_OF_IDENTIFIERS = 16
"""How deep the keys of a query may be nested."""

SYNTAXES = (EXPLICIT, IMPLICIT)

WITHOUT_DESCRIPTOR = hostile.element(0x00283006, "", b"ab", syntax=IMPLICIT)
"""LUT Data whose VR depends on a LUT Descriptor that is not there: it cannot be written in explicit VR."""


@pytest.fixture(scope="module", autouse=True)
def modest(siege: Siege) -> Iterator[None]:
    """See at the end that the node never had much memory."""
    with exchange.modest(siege.node):
        yield


def sequences(
    syntax: str, depths: tuple[int, ...] = DEPTHS, **options: object
) -> Iterator[tuple[int, bool, bool, bytes]]:
    """Yield depth, whether lengths are defined, whether all is there, and the sequence."""
    for depth, defined, closed in product(depths, (True, False), (True, False)):
        yield depth, defined, closed, hostile.nested(
            depth, defined=defined, closed=closed, syntax=syntax, **options
        )


def test_behind_the_identity_of_an_object(siege: Siege) -> None:
    """What stands there is not looked at when it is stored, and the bytes are kept."""

    def store_all(syntax: str) -> None:
        with exchange.storing(siege.node.address, syntax) as store:
            for depth, defined, closed, sequence in sequences(syntax):
                whole = corpus.make_object(syntax)
                status = store(whole.encoded + sequence, whole.sop_instance_uid)
                assert status == 0, (syntax, depth, defined, closed)

    siege.withstands(lambda: [store_all(syntax) for syntax in SYNTAXES])


def test_before_the_identity_of_an_object(siege: Siege) -> None:
    """It is stored if its identity can be found, and else refused."""

    def store_all(syntax: str) -> None:
        with exchange.storing(siege.node.address, syntax) as store:
            for depth, defined, closed, sequence in sequences(syntax, tag=0x00080006):
                whole = corpus.make_object(syntax)
                status = store(sequence + whole.encoded, whole.sop_instance_uid)
                is_passed = closed and (defined or depth <= DEPTH_OF_IDENTIFIERS)
                assert status == (0 if is_passed else 0xC000), (syntax, depth, defined, closed)

    siege.withstands(lambda: [store_all(syntax) for syntax in SYNTAXES])


def is_read(depth: int, closed: bool) -> bool:
    """Tell whether a sequence of an identifier is one that can be read."""
    return closed and depth <= DEPTH_OF_IDENTIFIERS


def test_in_an_identifier(siege: Siege) -> None:
    """A query is answered, or refused as one that cannot be understood.

    A number of three bytes is worse than nothing: pydicom says so once more at each level, in a message that more
    than doubles.
    """

    def find_all(syntax: str, innermost: bytes) -> None:
        with exchange.finding(siege.node.address, syntax) as find:
            for depth, defined, closed, sequence in sequences(syntax, innermost=innermost):
                status, _ = find(hostile.query("STUDY", sequence, syntax=syntax))
                is_answered = is_read(depth, closed) and not innermost
                assert status == (0 if is_answered else 0xC000), (syntax, innermost, depth, defined, closed)

    def attack() -> None:
        for syntax in SYNTAXES:
            find_all(syntax, b"")
            find_all(syntax, hostile.element(hostile.ROWS, "US", b"abc", syntax=syntax))

    siege.withstands(attack)


def test_in_elements_of_an_identifier_that_nobody_knows(siege: Siege) -> None:
    """Behind a private tag, and behind one that is not in the data dictionary."""

    def attack() -> None:
        with exchange.finding(siege.node.address) as find:
            for depth, defined, closed, sequence in sequences(EXPLICIT, tag=0x00091010):
                status, _ = find(hostile.query("STUDY", sequence))
                assert status == (0 if is_read(depth, closed) else 0xC000), (depth, defined, closed)
            for depth, defined, closed, sequence in sequences(EXPLICIT, tag=0x00080006):
                status, _ = find(sequence + hostile.query("STUDY"))
                assert status == (0 if is_read(depth, closed) else 0xC000), (depth, defined, closed)

    siege.withstands(attack)


def test_sequence_that_is_said_to_be_something_else(siege: Siege) -> None:
    """As UN, and as a private element of a creator that pydicom knows, pydicom would look into it."""
    creator = hostile.element(0x00190010, "LO", b"SIEMENS MR HEADER ")
    inside = hostile.nested(1000, syntax=IMPLICIT)
    identifiers = [
        hostile.query("STUDY", hostile.element(hostile.REQUEST_ATTRIBUTES_SEQUENCE, "UN", inside[8:])),
        hostile.query("STUDY", creator, hostile.element(0x00191008, "UN", inside)),
        hostile.query("STUDY", creator, hostile.element(0x00191008, "SQ", hostile.nested(1000)[12:])),
    ]

    def attack() -> None:
        with exchange.finding(siege.node.address) as find:
            assert [find(identifier)[0] for identifier in identifiers] == [0xC000, 0, 0xC000]

    siege.withstands(attack)


@pytest.mark.parametrize("innermost", [b"", WITHOUT_DESCRIPTOR], ids=["valid", "value that cannot be written"])
def test_queries_that_look_into_what_was_stored(siege: Siege, innermost: bytes) -> None:
    """The header of each match is read: a sequence that is too deep is answered without a value."""
    client = Client(siege.node.address)

    def attack() -> None:
        for depth, defined, closed, sequence in sequences(
            IMPLICIT, tag=hostile.CONTENT_SEQUENCE, innermost=innermost
        ):
            whole = corpus.make_object(IMPLICIT)
            stored = whole.encoded + sequence
            assert exchange.store(siege.node.address, stored, whole.sop_instance_uid, IMPLICIT) == 0
            found = client.find("IMAGE", keys_of(whole) | {"ContentSequence": "", "RequestAttributesSequence": ""})
            # FF01 says that the sequence is there, and cannot be told.
            assert found.statuses in ((0xFF00, 0), (0xFF01, 0)), (depth, defined, closed)
            assert found.statuses[0] == 0xFF00 or not found.identifiers[0].ContentSequence
            assert found.values("SOPInstanceUID") == [whole.sop_instance_uid]

    siege.withstands(attack)


def test_headers_that_are_sent_without_bulk_data(siege: Siege) -> None:
    """A header is sent if all of it can be read, and else the peer is told that one instance failed."""
    exchange.start_workers(siege.node)
    client = Client(siege.node.address, "GETSCU")

    def attack() -> None:
        for depth, defined, closed, sequence in sequences(
            IMPLICIT, (10, 60, 1000), tag=hostile.CONTENT_SEQUENCE, innermost=WITHOUT_DESCRIPTOR
        ):
            whole = corpus.make_object(IMPLICIT)
            stored = whole.encoded + sequence
            assert exchange.store(siege.node.address, stored, whole.sop_instance_uid, IMPLICIT) == 0
            for syntax in (IMPLICIT, EXPLICIT):
                got = client.get(
                    "IMAGE",
                    {"SOPInstanceUID": whole.sop_instance_uid},
                    [(whole.sop_class_uid, syntax)],
                    model="WITHOUT_BULK_DATA",
                )
                counters = got.counters["completed"], got.counters["failed"]
                assert counters == ((1, 0) if closed and depth < 1000 else (0, 1)), (depth, defined, closed, syntax)

    siege.withstands(attack)


def keys_of(whole: corpus.Object) -> dict[str, str]:
    """Return the unique keys that a query for an instance needs."""
    dataset = whole.dataset
    return {
        "StudyInstanceUID": dataset.StudyInstanceUID,
        "SeriesInstanceUID": dataset.SeriesInstanceUID,
        "SOPInstanceUID": whole.sop_instance_uid,
    }


def test_identifier_of_a_retrieve(siege: Siege) -> None:
    """A C-MOVE reads its identifier in the same way."""

    def attack() -> None:
        study = hostile.element(hostile.STUDY_INSTANCE_UID, "UI", b"1.2\0")
        with exchange.moving(siege.node.address) as move:
            for depth, defined, closed, sequence in sequences(EXPLICIT):
                status = move("NOBODY", hostile.query("STUDY", study, sequence))
                is_read = closed and depth <= DEPTH_OF_IDENTIFIERS
                assert status == (0xA801 if is_read else 0xC000), (depth, defined, closed)

    siege.withstands(attack)
