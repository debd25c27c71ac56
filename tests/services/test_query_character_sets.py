"""C-FIND: text of every script, in keys and in answers (PS3.4 C.4.1.1.3.2)."""

from __future__ import annotations

import struct
import time

import pytest
from medserver.dicom.representations import LONG_LENGTH
from medserver.scu import query
from medserver.scu.exchange import DATA_SET_FOLLOWS, context_for, next_message_id, responses
from medserver.wire.command_set import CommandField, encode_command_set

from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.services import corpus
from tests.services.client import FIND, Answers, Client

# Odd queries are made on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:.*(VR LO|Unknown encoding).*:UserWarning")

NAMES = (
    ("latin", "ISO_IR 100", "Müller^Zoë", "Größe"),
    ("euro", "ISO_IR 203", "Šošic^Zoë", "Œuvre de 5 €"),
    ("extended", ["ISO 2022 IR 101", "ISO 2022 IR 203"], "Łukasz^Œuvre", "Wątroba"),
    ("polish", "ISO_IR 101", "Łukasz^Żak", "Wątroba"),
    ("cyrillic", "ISO_IR 144", "Люксембург^Роза", "Голова"),
    ("greek", "ISO_IR 126", "Διονυσιος^Νικος", "Κεφαλή"),
    ("arabic", "ISO_IR 127", "قباني^لنزار", "رأس"),
    ("hebrew", "ISO_IR 138", "שרון^דבורה", "ראש"),
    ("thai", "ISO_IR 166", "สมชาย^ใจดี", "ศีรษะ"),
    ("japanese", ["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "頭部"),
    ("katakana", ["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "ﾃｽﾄ"),
    ("korean", ["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "홍길동"),
    ("chinese", "GB18030", "Wang^XiaoDong=王^小东", "头部"),
    ("utf8", "ISO_IR 192", "Wang^XiaoDong=王^小東=Ωß", "頭ß"),
)


@pytest.fixture(scope="module")
def named(client: Client) -> dict[str, corpus.Object]:
    """Store a patient for each character set."""
    objects = {
        name: corpus.make_object(
            SpecificCharacterSet=character_set,
            PatientID=name,
            PatientName=person,
            StudyDescription=description,
        )
        for name, character_set, person, description in NAMES
    }
    assert client.store(*objects.values()) == [0] * len(objects)
    return objects


@pytest.mark.parametrize(
    ("name", "character_set", "person", "description"), NAMES, ids=[row[0] for row in NAMES]
)
@pytest.mark.parametrize("requested", ["own", "ISO_IR 192", "ISO_IR 100", "", "ISO_IR 144", "NONSENSE"])
def test_answers_decode_in_the_set_they_state(
    client: Client,
    named: dict,
    name: str,
    character_set: object,
    person: str,
    description: str,
    requested: str,
) -> None:
    keys = {"PatientID": name, "PatientName": "", "StudyDescription": ""}
    if requested:
        keys["SpecificCharacterSet"] = character_set if requested == "own" else requested
    [identifier] = client.find("STUDY", keys).identifiers
    assert identifier.PatientName == person
    assert identifier.StudyDescription == description
    stated = identifier.SpecificCharacterSet
    if requested == "ISO_IR 192":
        assert stated == requested, "the requested set can represent everything"
    if requested == "own" and isinstance(character_set, str):
        assert stated == character_set


@pytest.mark.parametrize(
    ("name", "character_set", "person", "description"), NAMES, ids=[row[0] for row in NAMES]
)
def test_keys_are_read_in_the_set_of_the_query(
    client: Client, named: dict, name: str, character_set: object, person: str, description: str
) -> None:
    for key in ({"PatientName": person}, {"StudyDescription": description}):
        found = client.find("STUDY", {"SpecificCharacterSet": character_set, "PatientID": ""} | key)
        assert name in found.values("PatientID")


def test_character_set_is_always_stated(client: Client, named: dict[str, corpus.Object]) -> None:
    ascii_only = corpus.make_object(PatientID="ASCII")
    assert client.store(ascii_only) == [0]
    for patient_id in ("ASCII", "latin", "japanese"):
        for level in ("PATIENT", "STUDY"):
            found = client.find(level, {"PatientID": patient_id}, model=level)
            assert all(identifier.get("SpecificCharacterSet") for identifier in found.identifiers)


def test_names_as_dcmtk_reads_them(node: Node, dcmtk: Dcmtk, named: dict) -> None:
    for name, _, person, description in NAMES:
        keys = {
            "PatientID": name,
            "PatientName": "",
            "StudyDescription": "",
            "SpecificCharacterSet": "ISO_IR 192",
        }
        answer = dcmtk.find(node.address, "STUDY", keys).check()
        path = answer.identifiers[0].filename
        found = dcmtk.json(path)
        groups = found["00100010"]["Value"][0]
        texts = [groups.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
        assert "=".join(texts).rstrip("=") == person
        assert found["00081030"]["Value"] == [description]


# -- identifiers as bytes: pydicom writes neither half-width katakana beside letters nor the sets that it does not know


def ask(client: Client, *elements: bytes) -> tuple[Answers, float]:
    """Send a query at STUDY level whose elements are these bytes; return the answers, and how long they took."""
    with client.associated([query.proposal(FIND["STUDY"])]) as association:
        message_id, context = next_message_id(), context_for(association, FIND["STUDY"])
        command_set = {
            "AffectedSOPClassUID": FIND["STUDY"],
            "CommandField": CommandField.C_FIND,
            "MessageID": message_id,
            "Priority": 0,
            "CommandDataSetType": DATA_SET_FOLLOWS,
        }
        started = time.monotonic()
        association.send_message(context.context_id, encode_command_set(command_set), b"".join(elements))
        found = tuple(responses(association, context, CommandField.C_FIND, message_id))
    return Answers(found), time.monotonic() - started


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Encode an element in explicit VR little endian."""
    value += b" " * (len(value) % 2)
    length = struct.pack("<HI", 0, len(value)) if vr in LONG_LENGTH else struct.pack("<H", len(value))
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode() + length + value


LEVEL = element(0x00080052, "CS", b"STUDY")
EMPTY_PATIENT_ID = element(0x00100020, "LO", b"")


@pytest.fixture(scope="module")
def yamada(client: Client) -> None:
    """Store a patient whose name is in half-width katakana, and others."""
    patients = {"YAMADA": "ﾔﾏﾀﾞ^ﾀﾛｳ", "YAMADAABC": "ﾔﾏﾀﾞABC", "SATO": "ｻﾄｳ^ｼﾞﾛｳ", "ABCD": "WXYZABC"}
    objects = [
        corpus.make_object(SpecificCharacterSet="ISO_IR 192", PatientID=patient_id, PatientName=name)
        for patient_id, name in patients.items()
    ]
    assert client.store(*objects) == [0] * len(objects)


@pytest.mark.parametrize(
    ("key", "patient_ids"),
    [
        (b"\xd4\xcf\xc0\xde*", {"YAMADA", "YAMADAABC", "katakana"}),
        (b"\xd4\xcf\xc0\xdeABC", {"YAMADAABC"}),
        (b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", {"YAMADA", "katakana"}),
    ],
)
def test_katakana_is_no_wild_card(
    client: Client, named: dict, yamada: None, key: bytes, patient_ids: set[str]
) -> None:
    character_set = element(0x00080005, "CS", b"ISO_IR 13")
    found, _ = ask(client, character_set, LEVEL, element(0x00100010, "PN", key), EMPTY_PATIENT_ID)
    assert found.status == 0
    assert set(found.values("PatientID")) == patient_ids


@pytest.mark.parametrize("codec", ["punycode", "unicode_escape", "hex", "zip", "rot13", "idna", "utf-7", "no such"])
def test_character_set_is_no_python_codec(client: Client, codec: str) -> None:
    """Nor does an item of a sequence choose one: all are answered like a set that nobody knows, and at once."""
    character_set = element(0x00080005, "CS", codec.encode())
    text = element(0x00081030, "LO", b"u0041\xff-" * 8000)
    item = character_set + element(0x00321060, "UT", b"b\xff-" * 60_000)
    items = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item
    sequence = element(0x00400275, "SQ", items)
    name = element(0x00100010, "PN", b"\xdcber*")
    for elements in ([text], [name], [name, sequence]):
        found, duration_s = ask(client, character_set, LEVEL, *elements)
        assert found.statuses == (0,)
        unknown, _ = ask(client, element(0x00080005, "CS", b"NONSENSE"), LEVEL, *elements)
        assert found.statuses == unknown.statuses
        assert duration_s < 3


def test_character_set_of_very_many_values(client: Client) -> None:
    """Each would be looked for among the modules of Python, and remembered."""
    character_set = element(0x00080005, "UT", b"\\".join(b"x%x" % number for number in range(30_000)))
    names = element(0x00100010, "PN", b"\\".join(b"\xe4%d" % number for number in range(200)))
    found, duration_s = ask(client, character_set, LEVEL, names)
    assert found.statuses == (0,)
    assert duration_s < 3


@pytest.mark.parametrize("term", ["ISO 2022 IR 149", "ISO 2022 IR 58", "ISO 2022 IR 87", "ISO 2022 IR 159"])
@pytest.mark.parametrize("patient_id", ["korean", "chinese", "japanese", "SATO", "ABCD"])
def test_lone_multi_byte_set_is_not_answered_in(
    client: Client, named: dict, yamada: None, term: str, patient_id: str
) -> None:
    """Without escape sequences nothing may be written in it (PS3.5 6.1.2.5)."""
    elements = [element(0x00080005, "CS", term.encode()), LEVEL, element(0x00100010, "PN", b"")]
    found, _ = ask(client, *elements, element(0x00100020, "LO", patient_id.encode()))
    [identifier] = found.identifiers
    assert identifier.SpecificCharacterSet == {"ABCD": "ISO_IR 100", "SATO": "ISO_IR 13"}.get(patient_id, "ISO_IR 192")
    known = {name: person for name, _, person, _ in NAMES} | {"SATO": "ｻﾄｳ^ｼﾞﾛｳ", "ABCD": "WXYZABC"}
    assert identifier.PatientName == known[patient_id]
