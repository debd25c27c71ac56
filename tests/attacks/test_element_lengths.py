"""Elements, items and sequences whose lengths lie: too long, not a length at all, odd, beyond the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from medserver.dicom import uids
from tests.attacks import exchange, hostile
from tests.attacks.hostile import EXPLICIT, IMPLICIT, element, item
from tests.attacks.siege import Siege
from tests.services import corpus
from tests.services.client import Client

LENGTHS = (1, 3, 0xFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

DESCRIPTION = 0x00081030  # Study Description, LO
ANATOMY = 0x00082218  # Anatomic Region Sequence

STORED = (0x0000,)
REFUSED = (0xA900, 0xC000)


@pytest.fixture(scope="module", autouse=True)
def modest(siege: Siege) -> Iterator[None]:
    """See at the end that the node never had much memory."""
    with exchange.modest(siege.node):
        yield


def lies(syntax: str) -> Iterator[bytes]:
    """Yield elements that claim a length that they do not have."""
    inner = element(DESCRIPTION, "LO", b"ab", syntax=syntax)
    for length in LENGTHS:
        if syntax == IMPLICIT or length <= 0xFFFF:
            yield element(DESCRIPTION, "LO", b"ab", length, syntax=syntax)
        for vr in ("UN", "OB", "UT", "SQ"):
            yield element(ANATOMY, vr, item(inner), length, syntax=syntax)
        yield element(ANATOMY, "SQ", item(inner, length), syntax=syntax)
        yield element(ANATOMY, "SQ", item(inner, length), hostile.UNDEFINED_LENGTH, syntax=syntax)
        yield element(ANATOMY, "SQ", item(inner) + item(b"", length), syntax=syntax)
        if syntax == IMPLICIT or length <= 0xFFFF:
            lying = element(DESCRIPTION, "LO", b"ab", length, syntax=syntax)
            yield element(ANATOMY, "SQ", item(lying), syntax=syntax)
            yield element(ANATOMY, "SQ", item(lying, hostile.UNDEFINED_LENGTH), syntax=syntax)
    yield from broken_sequences(syntax)


def broken_sequences(syntax: str) -> Iterator[bytes]:
    """Yield sequences that are not made of items, or do not end."""
    for inside in (
        hostile.ITEM_END,
        hostile.SEQUENCE_END,
        hostile.ITEM_END * 1000,
        hostile.SEQUENCE_END * 1000,
        item(b"") * 5000,
        item(b"", hostile.UNDEFINED_LENGTH) * 5000,
        item(b"\0"),
        b"\xff" * 100,
        b"\xfe\xff",
    ):
        yield element(ANATOMY, "SQ", inside, syntax=syntax)
        yield element(ANATOMY, "SQ", inside, hostile.UNDEFINED_LENGTH, syntax=syntax)
    yield from (hostile.ITEM_END, hostile.SEQUENCE_END, item(b""), item(b"", hostile.UNDEFINED_LENGTH))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_behind_the_identity_of_an_object(siege: Siege, syntax: str) -> None:
    """Such an object is stored as it came, is found, and is sent again as it came, in an even number of bytes."""
    study = uids.new_uid()

    def attack() -> None:
        sent = {}
        for lie in lies(syntax):
            whole = corpus.make_object(syntax, StudyInstanceUID=study)
            # All of the identity stands in groups 0008 - 0020, so that this comes behind it.
            sent[whole.sop_instance_uid] = whole.encoded + lie.replace(b"\x08\0", b"\x28\0", 1)
        with exchange.storing(siege.node.address, syntax) as store:
            assert {store(data_set, uid) for uid, data_set in sent.items()} == {0}
        kinds = [(corpus.make_object().sop_class_uid, syntax)]
        got = Client(siege.node.address, "GETSCU").get("STUDY", {"StudyInstanceUID": study}, kinds)
        even = {uid: data_set + b"\0" * (len(data_set) % 2) for uid, data_set in sent.items()}
        assert {uid: got.received[uid][1] for uid in sent} == even

    siege.withstands(attack)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_before_the_identity_of_an_object(siege: Siege, syntax: str) -> None:
    """The lie may hide the identity: then nothing is stored, else everything."""
    address = siege.node.address

    def attack() -> None:
        with exchange.storing(address, syntax) as store, exchange.finding(address) as find:
            for lie in lies(syntax):
                whole = corpus.make_object(syntax)
                status = store(lie + whole.encoded, whole.sop_instance_uid)
                assert status in STORED + REFUSED, lie[:40].hex()
                study = whole.dataset.StudyInstanceUID.encode()
                asked = hostile.query("STUDY", element(hostile.STUDY_INSTANCE_UID, "UI", study))
                assert find(asked) == (0, int(status == 0)), lie[:40].hex()

    siege.withstands(attack)


def test_in_an_identifier(siege: Siege) -> None:
    """A query that is cut off, or runs into the next one, is not another query: it is refused.

    One of them is none: a sequence without items that ends at once.
    """

    def find_all(syntax: str) -> None:
        name = element(0x00100010, "PN", b"NOBODY", syntax=syntax)
        empty = element(ANATOMY, "SQ", hostile.SEQUENCE_END, hostile.UNDEFINED_LENGTH, syntax=syntax)
        with exchange.finding(siege.node.address, syntax) as find:
            for lie in lies(syntax):
                for identifier in (
                    hostile.query("STUDY", lie, name, syntax=syntax),
                    hostile.query("STUDY", name, lie, syntax=syntax),
                    lie + hostile.query("STUDY", name, syntax=syntax),
                ):
                    assert find(identifier) == (0 if lie == empty else 0xC000, 0), lie[:40].hex()

    siege.withstands(lambda: [find_all(syntax) for syntax in (EXPLICIT, IMPLICIT)])


def test_every_length_that_is_cut_off(siege: Siege) -> None:
    """An identifier that ends after any of its bytes is refused, unless it ends between two elements."""
    identifier = hostile.query(
        "STUDY", element(0x00100010, "PN", b"NOBODY"), element(hostile.CONTENT_SEQUENCE, "SQ", item(b"") * 2)
    )
    whole = {14, 14 + 14, len(identifier)}

    def attack() -> None:
        with exchange.finding(siege.node.address) as find:
            for length in range(1, len(identifier) + 1):
                status, _ = find(identifier[:length])
                assert status == (0 if length in whole else 0xC000), length

    siege.withstands(attack)


def test_odd_lengths_are_read(siege: Siege) -> None:
    """PS3.5 7.1 forbids them, and some senders have them: they change nothing."""
    client = Client(siege.node.address)

    def attack() -> None:
        whole = corpus.make_object()
        odd = element(DESCRIPTION, "LO", b"odd") + whole.encoded
        assert exchange.store(siege.node.address, odd, whole.sop_instance_uid) == 0
        found = client.find(
            "STUDY", {"StudyInstanceUID": whole.dataset.StudyInstanceUID, "StudyDescription": "odd"}
        )
        assert found.values("StudyDescription") == ["odd"]
        with exchange.finding(siege.node.address) as find:
            assert find(hostile.query("STUDY", element(DESCRIPTION, "LO", b"odd")))[1] >= 1

    siege.withstands(attack)
