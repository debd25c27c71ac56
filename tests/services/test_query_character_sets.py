"""C-FIND: text of every script, in keys and in answers (PS3.4 C.4.1.1.3.2)."""

from __future__ import annotations

import pytest

from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.services import corpus
from tests.services.client import Client

# Odd queries are made on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:.*(VR LO|Unknown encoding).*:UserWarning")

NAMES = (
    ("latin", "ISO_IR 100", "Müller^Zoë", "Größe"),
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
