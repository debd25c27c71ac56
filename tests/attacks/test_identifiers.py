"""Identifiers, and headers that queries look into, with more in them than anybody asks for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from pydicom.datadict import tag_for_keyword

from tests.attacks import exchange, hostile
from tests.attacks.hostile import EXPLICIT, IMPLICIT, PATIENT_NAME, element, item, query
from tests.attacks.siege import Siege
from tests.services import corpus
from tests.services.client import Client

SIZE_BYTES = 1024 * 1024 - 100
"""As long as an identifier may be, with its other elements."""

PATIENT_ID, CHARACTER_SET = 0x00100020, 0x00080005
CANNOT_UNDERSTAND = 0xC000


@pytest.fixture(scope="module", autouse=True)
def modest(siege: Siege) -> Iterator[None]:
    """See at the end that the node never had much memory."""
    with exchange.modest(siege.node):
        yield


def long_value(tag: int, unit: bytes, size_bytes: int = SIZE_BYTES) -> bytes:
    """Return an element in implicit VR of as many units as there is room for."""
    return element(tag, "", unit * (size_bytes // len(unit)), syntax=IMPLICIT)


TOO_MUCH = {
    "items": element(hostile.REQUEST_ATTRIBUTES_SEQUENCE, "", item(b"") * (SIZE_BYTES // 8), syntax=IMPLICIT),
    "elements": b"".join(element(0x00110010 + n, "", b"", syntax=IMPLICIT) for n in range(60_000)),
    "no UIDs": long_value(hostile.STUDY_INSTANCE_UID, b"\\"),
    "UIDs": long_value(hostile.STUDY_INSTANCE_UID, b"1\\"),
    "values": long_value(PATIENT_ID, b"\\"),
    "texts": long_value(PATIENT_ID, b"a\\"),
    "numbers": long_value(0x00200013, b"1\\"),
    "names": long_value(PATIENT_NAME, b"a^b\\"),
    "carets": long_value(PATIENT_NAME, b"^"),
    "escape sequences": long_value(PATIENT_NAME, b"\x1b$B"),
    "stems": long_value(PATIENT_NAME, b"^*"),
    "asterisks": long_value(PATIENT_ID, b"*a"),
}


def test_more_than_anybody_asks_for(siege: Siege) -> None:
    """They are refused before they become objects."""

    def attack() -> None:
        with exchange.finding(siege.node.address, IMPLICIT) as find:
            for what, keys in TOO_MUCH.items():
                assert find(query("STUDY", keys, syntax=IMPLICIT)) == (CANNOT_UNDERSTAND, 0), what

    siege.withstands(attack)


def test_long_list_of_uids(siege: Siege) -> None:
    """It is one key, and may fill an identifier: the answer is that there is no such study."""
    uids = long_value(hostile.STUDY_INSTANCE_UID, b"1.2.840.113619.2.55.3.604688119.971\\")

    def attack() -> None:
        with exchange.finding(siege.node.address, IMPLICIT) as find:
            assert find(query("STUDY", uids, syntax=IMPLICIT)) == (0, 0)

    siege.withstands(attack)


def test_long_patterns(siege: Siege) -> None:
    """Nothing has so long a value: such a pattern does not fit its key. What is no pattern is looked for."""
    values = [b"*a" * 30_000, b"?" * 60_000, b"*a?" * 1500, b"%_" * 30_000]

    def attack() -> None:
        with exchange.finding(siege.node.address) as find:
            for tag, value in product((PATIENT_ID, PATIENT_NAME, 0x00081030), values):
                expected = 0xA900 if set(value) & set(b"*?") or tag == PATIENT_NAME else 0
                assert find(query("STUDY", element(tag, "LO", value))) == (expected, 0), (tag, value[:3])

    siege.withstands(attack)


def test_patterns_that_take_many_steps(siege: Siege) -> None:
    """Each asterisk could stand for any part of a long value: that must not be tried."""
    address = siege.node.address
    whole = corpus.make_object(StudyDescription="a" * 60_000, ReferringPhysicianName="a" * 60_000)
    patterns = [b"*a" * 2000 + b"b", b"*a*?" * 1000 + b"b", b"*" + b"a" * 4000 + b"b*"]

    def attack() -> None:
        assert exchange.store(address, whole.encoded, whole.sop_instance_uid) == 0
        with exchange.finding(address) as find:
            for pattern, tag in product(patterns, (0x00081030, 0x00080090)):
                assert find(query("STUDY", element(tag, "LO", pattern))) == (0, 0)
            assert find(query("STUDY", element(0x00081030, "LO", b"a" * 4000 + b"*a")))[1] == 1

    siege.withstands(attack)


def test_codecs_of_python_are_no_character_sets(siege: Siege) -> None:
    """Neither in an identifier nor in an object that a query looks into: some take time with the square of the text."""
    client = Client(siege.node.address)
    value = b"\xff" + b"a-" * 30_000

    def ask(codec: str) -> None:
        character_set = element(CHARACTER_SET, "CS", codec.encode())
        with exchange.finding(siege.node.address) as find:
            assert find(character_set + query("STUDY", element(PATIENT_ID, "LO", value)))[0] == 0
        whole = corpus.make_object()
        behind = element(0x00400254, "LO", value)  # Performed Procedure Step Description: the index does not keep it
        stored = character_set + whole.encoded + behind
        assert exchange.store(siege.node.address, stored, whole.sop_instance_uid) == 0
        keys = {
            "StudyInstanceUID": whole.dataset.StudyInstanceUID,
            "SeriesInstanceUID": whole.dataset.SeriesInstanceUID,
            "SOPInstanceUID": whole.sop_instance_uid,
            "PerformedProcedureStepDescription": "",
        }
        [found] = client.find("IMAGE", keys).identifiers
        assert str(found.PerformedProcedureStepDescription).startswith("ÿa-a-")

    def attack() -> None:
        for codec in ("punycode", "idna", "unicode_escape", "zip", "bz2_codec"):
            ask(codec)

    siege.withstands(attack)


def test_stored_values_of_megabytes(siege: Siege) -> None:
    """In implicit VR a name may have any length: one that would take minutes to decode is answered without a value."""
    client = Client(siege.node.address)
    values = {"PersonName": b"\x1b$B", "UID": b"1\\", "PerformedProcedureStepDescription": b"\\"}

    def attack() -> None:
        for keyword, unit in values.items():
            whole = corpus.make_object(IMPLICIT)
            stored = whole.encoded + long_value(tag_for_keyword(keyword), unit)
            assert exchange.store(siege.node.address, stored, whole.sop_instance_uid, IMPLICIT) == 0
            keys = {
                "StudyInstanceUID": whole.dataset.StudyInstanceUID,
                "SeriesInstanceUID": whole.dataset.SeriesInstanceUID,
                "SOPInstanceUID": "",
                keyword: "",
            }
            [found] = client.find("IMAGE", keys).identifiers
            assert not found[keyword].value, keyword

    siege.withstands(attack)


def test_stored_headers_of_very_many_elements(siege: Siege) -> None:
    """A small deflated object with 200,000 elements: of those a query keeps a few thousand."""
    exchange.start_workers(siege.node)
    client = Client(siege.node.address)
    whole = corpus.make_object(EXPLICIT)
    many = b"".join(element(0x00290010 + n, "LO", b"") for n in range(0xFF00))
    stored = hostile.bomb(whole.encoded, many, 3)

    def attack() -> None:
        assert exchange.store(siege.node.address, stored, whole.sop_instance_uid, hostile.DEFLATED) == 0
        keys = {
            "StudyInstanceUID": whole.dataset.StudyInstanceUID,
            "SeriesInstanceUID": whole.dataset.SeriesInstanceUID,
            "SOPInstanceUID": "",
            "KVP": "",
        }
        assert client.find("IMAGE", keys).values("SOPInstanceUID") == [whole.sop_instance_uid]
        got = client.get(
            "IMAGE",
            {"SOPInstanceUID": whole.sop_instance_uid},
            [(whole.sop_class_uid, EXPLICIT)],
            model="WITHOUT_BULK_DATA",
        )
        assert len(got.received) == 1

    siege.withstands(attack)
