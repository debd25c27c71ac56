"""C-FIND: models, levels and every type of matching, against a brute-force reference (PS3.4 C.2.2.2, C.4.1)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from medserver.scu import query
from medserver.scu.exchange import DATA_SET_FOLLOWS, context_for
from medserver.wire.command_set import CommandField, encode_command_set
from pydicom.dataset import Dataset
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.services import patients
from tests.services.client import FIND, Client, identifier_of
from tests.services.peer import answers, associated
from tests.services.reference import UNIQUE_KEYS, matching

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")

# A wild card is no legal CS value, and pydicom says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*VR CS.*:UserWarning")

# Level of the attribute, keyword, keys.
KEYS = (
    ("PATIENT", "PatientID", [
        "P1", "p1", "P_1", "P%1", "P[1]", "P1]", "P?1", "P*", "*1", "?1", "P*1*", "*", "Q", "P??",
    ]),
    ("PATIENT", "PatientName", [
        "Müller^Hans", "MULLER^HANS", "muller*", "m?ller^*", "mull", "Yamada*", "山田*", "=山田^*",
        "==やまだ*", "山田^太郎", "Yamada*=山田^太郎", "*^j*", "hong*", "洪*", "홍^길동",
        "люксембург*", "ЛЮКСЕМБУРГ*", "διονυσιος*", "ΔΙΟΝΥΣΙΟΣ^Α", "o'neil^100%*", "*[x]", "*_*",
        "*%*", "smith", "smith^*", "smith*", "*MD", "Smith^John^Jr^Dr^MD", "?????", "*=*",
    ]),
    ("PATIENT", "PatientBirthDate", [
        "19500131", "19500101-19501231", "-18991231", "20000101-", "19000101-20991231",
    ]),
    ("PATIENT", "PatientSex", ["M", "F", "m", "?"]),
    ("STUDY", "StudyDate", [
        "20250101", "20250101-20250131", "20250131-20260101", "-20250201", "20260101-", "19990101",
    ]),
    ("STUDY", "StudyTime", [
        "093000", "0930", "09", "09-10", "0930-", "-0930", "093000-093000.4", "235959.999999",
        "10-23",
    ]),
    ("STUDY", "AccessionNumber", ["ACC1", "acc1", "ACC?", "*3", "ACC"]),
    ("STUDY", "StudyDescription", [
        "100% dose", "100? dose", "A_B", "A?B", "A[B]", "A*", "Head CT", "HEAD*", "*,*", "*.p.",
        "a*",
    ]),
    ("STUDY", "ReferringPhysicianName", ["ubel^ase", "Übel*", "øre*", "ore*", "doe^jane", "*"]),
    ("SERIES", "Modality", ["CT", "ct", "C?", "?T", "XA"]),
    ("SERIES", "SeriesNumber", ["1", "01", "2", "3"]),
    ("SERIES", "SeriesDescription", ["A_B", "AB", "*% *"]),
    ("SERIES", "OperatorsName", ["op^one", "OP^TWO", "op^t*"]),
    ("SERIES", "BodyPartExamined", ["HEAD", "*E*"]),
    ("IMAGE", "InstanceNumber", ["1", "2", "02"]),
    ("IMAGE", "ImageType", ["AXIAL", "LOC*", "PRIMARY", "*L"]),
    ("IMAGE", "ContentDate", ["20250101-20250201", "20260101"]),
    ("IMAGE", "ContentTime", ["0930", "-10"]),
)  # fmt: skip


@pytest.fixture(scope="module")
def archive(client: Client) -> list[Dataset]:
    """Store the archive, and return its data sets."""
    objects = patients.make_archive()
    assert client.store(*objects) == [0] * len(objects)
    return [one.dataset for one in objects]


def parents(archive: list[Dataset], levels: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the unique keys of every entity above, from the top down."""
    keywords = [UNIQUE_KEYS[level] for level in levels]
    return [
        dict(one) for one in {tuple((key, str(each[key].value)) for key in keywords): 0 for each in archive}
    ]


@pytest.mark.parametrize("model", ["PATIENT", "STUDY", "PATIENT_STUDY_ONLY"])
def test_hierarchical_queries_match_as_the_reference(
    client: Client, archive: list[Dataset], model: str
) -> None:
    """Every key at its own level, below every entity of the levels above."""
    levels = {"PATIENT": LEVELS, "STUDY": LEVELS[1:], "PATIENT_STUDY_ONLY": LEVELS[:2]}[model]
    checked = 0
    with client.querying(model) as ask:
        for level in levels:
            unique = UNIQUE_KEYS[level]
            for above in parents(archive, levels[: levels.index(level)]):
                for place, keyword, keys in KEYS:
                    patient_in_study_root = model == "STUDY" and (place, level) == ("PATIENT", "STUDY")
                    if place != level and not patient_in_study_root:
                        continue
                    for key in keys:
                        asked = above | {"SpecificCharacterSet": patients.UTF_8, unique: "", keyword: key}
                        found = ask(level, asked)
                        expected = matching(archive, level, above | {keyword: key})
                        assert (found.status, sorted(found.values(unique))) == (0, expected), (
                            level,
                            keyword,
                            key,
                        )
                        checked += 1
    assert checked > 60


@pytest.mark.parametrize("model", ["PATIENT", "STUDY"])
def test_relational_queries_match_as_the_reference(
    client: Client, archive: list[Dataset], model: str
) -> None:
    """Keys of the levels above and of the level, without the unique keys above (PS3.4 C.4.1.2.2)."""
    levels = LEVELS if model == "PATIENT" else LEVELS[1:]
    with client.querying(model, extended=b"\x01") as ask:
        for level in levels:
            unique = UNIQUE_KEYS[level]
            for place, keyword, keys in KEYS:
                if LEVELS.index(place) > LEVELS.index(level):
                    continue
                for key in keys:
                    found = ask(level, {"SpecificCharacterSet": patients.UTF_8, unique: "", keyword: key})
                    expected = matching(archive, level, {keyword: key})
                    assert (found.status, sorted(found.values(unique))) == (0, expected), (
                        level,
                        keyword,
                        key,
                    )


def test_relational_query_with_keys_of_several_levels(node: Node, archive: list[Dataset]) -> None:
    keys = {"PatientSex": "M", "StudyDate": "20250101-20251231", "Modality": "?T", "InstanceNumber": "1"}
    model = PatientRootQueryRetrieveInformationModelFind
    with associated(node.address, [model], extended={model: b"\x01"}) as association:
        for level in LEVELS:
            asked = {**keys, UNIQUE_KEYS[level]: ""}
            statuses, found = answers(association.send_c_find(identifier_of(level, asked), model))
            assert statuses[-1] == 0
            values = sorted(str(identifier[UNIQUE_KEYS[level]].value) for identifier in found)
            assert values == matching(archive, level, keys) != [], level


def test_several_keys_at_once(client: Client, archive: list[Dataset]) -> None:
    keys = {"PatientName": "*m*", "StudyDate": "20250101-", "StudyDescription": "*"}
    found = client.find("STUDY", keys | {"StudyInstanceUID": ""})
    assert sorted(found.values("StudyInstanceUID")) == matching(archive, "STUDY", keys) != []


def test_list_of_uids(client: Client, archive: list[Dataset]) -> None:
    studies = sorted({one.StudyInstanceUID for one in archive})
    asked = [*studies[:5], "1.2.3.4.5"]
    found = client.find("STUDY", {"StudyInstanceUID": asked})
    assert sorted(found.values("StudyInstanceUID")) == studies[:5]


def test_universal_matching_finds_everything(client: Client, archive: list[Dataset]) -> None:
    found = client.find("PATIENT", ["PatientID", "PatientName"], model="PATIENT")
    assert sorted(found.values("PatientID")) == sorted({one.PatientID for one in archive})


# -- what is asked for wrongly ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "level", "keys"),
    [
        ("STUDY", "PATIENT", {"PatientID": "P1"}),
        ("PATIENT_STUDY_ONLY", "SERIES", {"PatientID": "P1", "StudyInstanceUID": "1.2"}),
        ("PATIENT_STUDY_ONLY", "IMAGE", {"PatientID": "P1", "StudyInstanceUID": "1.2"}),
        ("STUDY", "WRONG", {"StudyInstanceUID": ""}),
        ("STUDY", "", {"StudyInstanceUID": ""}),
        ("PATIENT", "STUDY", {"StudyInstanceUID": ""}),
        ("PATIENT", "STUDY", {"PatientID": "", "StudyInstanceUID": ""}),
        ("PATIENT", "STUDY", {"PatientID": "P*", "StudyInstanceUID": ""}),
        ("STUDY", "SERIES", {"SeriesInstanceUID": ""}),
        ("STUDY", "SERIES", {"StudyInstanceUID": ["1.2", "1.3"], "SeriesInstanceUID": ""}),
        ("STUDY", "IMAGE", {"StudyInstanceUID": "1.2", "SOPInstanceUID": ""}),
        ("STUDY", "STUDY", {"StudyDate": "20260101-20250101"}),
        ("PATIENT", "PATIENT", {"PatientID": ["P1", "P2"]}),
        ("PATIENT", "PATIENT", {"PatientID": "P1", "IssuerOfPatientID": ["A", "B"]}),
        ("STUDY", "STUDY", {"StudyInstanceUID": "", "PatientID": ["P1", "P2"]}),
    ],
)
def test_identifier_that_does_not_fit_the_model(client: Client, model: str, level: str, keys: dict) -> None:
    found = client.find(level, keys, model=model)
    assert found.statuses == (0xA900,)
    assert found.comment


def test_relational_query_that_was_not_negotiated(node: Node, client: Client) -> None:
    assert client.find("SERIES", {"Modality": "CT"}).statuses == (0xA900,)
    model = StudyRootQueryRetrieveInformationModelFind
    with associated(node.address, [model], extended={model: b"\x00\x01"}) as association:
        assert association.acceptor.sop_class_extended[model] == b"\x00\x01"
        statuses, _ = answers(association.send_c_find(identifier_of("SERIES", {"Modality": "CT"}), model))
        assert statuses == (0xA900,)


def test_extended_negotiation_of_more_than_we_offer(node: Node) -> None:
    """Fuzzy matching, time zones and enhanced conversion are not offered (PS3.4 C.5.1.1)."""
    model = StudyRootQueryRetrieveInformationModelFind
    with associated(node.address, [model], extended={model: b"\x01\x01\x01\x01\x01"}) as association:
        assert association.acceptor.sop_class_extended[model] == b"\x01\x01\x00\x00\x00"


STUDY_LEVEL = b"\x08\x00\x52\x00CS\x06\x00STUDY "


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff" * 100,
        b"\x08\x00\x52\x00CS",
        b"\x08\x00\x52\x00CS\xff\xffSTUDY ",
        STUDY_LEVEL + b"\x28\x00\x10\x00US\x03\x00abc",
        STUDY_LEVEL
        + b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff"
        + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" * 2000,
    ],
)
def test_identifier_that_cannot_be_read(client: Client, garbage: bytes) -> None:

    with client.associated([query.proposal(FIND["STUDY"])]) as association:
        command_set = {
            "AffectedSOPClassUID": FIND["STUDY"],
            "CommandField": CommandField.C_FIND,
            "MessageID": 5,
            "Priority": 0,
            "CommandDataSetType": DATA_SET_FOLLOWS,
        }
        context = context_for(association, FIND["STUDY"])
        association.send_message(context.context_id, encode_command_set(command_set), garbage)
        response = association.wait_response(CommandField.C_FIND, 5, 10)
        assert response.command_set["Status"] == 0xC000
        found = list(
            query.find(association, FIND["STUDY"], identifier_of("STUDY", {"StudyInstanceUID": "1.2"}))
        )
        assert [one.code for one in found] == [0], "the association goes on"


def test_identifier_beyond_the_limit(start_node: Callable[..., Node]) -> None:
    node = start_node(options={"limits.identifier_size_max_bytes": 8192})
    keys = {"StudyInstanceUID": ["1.2." + "3" * 50] * 500}
    assert Client(node.address).find("STUDY", keys).statuses == (0xC000,)


# -- findscu --------------------------------------------------------------------------------------------------


def test_findscu_at_every_level(node: Node, dcmtk: Dcmtk, archive: list[Dataset]) -> None:
    one = archive[-1]
    keys: dict[str, str] = {}
    for level in LEVELS:
        unique = UNIQUE_KEYS[level]
        answer = dcmtk.find(node.address, level, keys | {unique: ""}, model="PATIENT").check()
        values = sorted(str(identifier[unique].value) for identifier in answer.identifiers)
        assert values == matching(archive, level, keys)
        assert answer.statuses == (0xFF00,) * len(values) + (0x0000,)
        for identifier in answer.identifiers:
            assert identifier.QueryRetrieveLevel == level
            assert identifier.RetrieveAETitle == "MEDSERVER"
            assert "SpecificCharacterSet" in identifier
        keys[unique] = str(one[unique].value)
    answer = dcmtk.find(
        node.address, "STUDY", {"PatientID": one.PatientID, "StudyDate": ""}, model="PATIENT_STUDY_ONLY"
    )
    assert answer.check().status == 0
    assert len(answer.identifiers) == len(matching(archive, "STUDY", {"PatientID": one.PatientID}))


@pytest.mark.parametrize("option", ["--propose-little", "--propose-big", "--propose-implicit"])
def test_findscu_in_each_transfer_syntax(
    node: Node, dcmtk: Dcmtk, archive: list[Dataset], option: str
) -> None:
    keys = {"StudyInstanceUID": archive[0].StudyInstanceUID}
    asked = {**keys, "NumberOfStudyRelatedInstances": "", "PatientName": "", "StudyDate": ""}
    answer = dcmtk.find(node.address, "STUDY", asked, options=[option]).check()
    [identifier] = answer.identifiers
    assert identifier.StudyDate == archive[0].StudyDate
    assert identifier.NumberOfStudyRelatedInstances == len(matching(archive, "IMAGE", keys))
