"""C-FIND: what answers hold of sequences, private attributes and odd values, and what is passed over of a query."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from medserver.dicom import uids
from medserver.dicom.data_sets import read_data_set, write_data_set
from medserver.scu import query
from medserver.wire.requestor import Proposal
from tests.services import corpus
from tests.services.client import FIND, Answers, Client
from tests.services.test_query_character_sets import ask, element

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # odd values are made on purpose

LEVEL = element(0x00080052, "CS", b"STUDY")
CODES = ("A", "B")


def dataset_of(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def request_item(procedure: str, *codes: str) -> Dataset:
    item = dataset_of(RequestedProcedureID=procedure, RequestedProcedureDescription=f"about {procedure}")
    item.ScheduledProcedureStepID = f"S{procedure}"
    item.RequestedProcedureCodeSequence = [dataset_of(CodeValue=code, CodeMeaning=f"is {code}") for code in codes]
    return item


@pytest.fixture(scope="module")
def stored(client: Client) -> corpus.Object:
    """Store an instance with two requests, private attributes and a time zone."""
    dataset = corpus.make_dataset(
        PatientID="PROJECTION",
        TimezoneOffsetFromUTC="+0200",
        RequestAttributesSequence=[request_item("RP1", *CODES), request_item("RP2", *CODES)],
    )
    dataset.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "secret")
    one = corpus.encoded(dataset)
    assert client.store(one) == [0]
    return one


def above(one: corpus.Object) -> dict[str, str]:
    return {keyword: str(one.dataset[keyword].value) for keyword in ("StudyInstanceUID", "SeriesInstanceUID")}


def find(client: Client, level: str, one: corpus.Object, **keys: object) -> Answers:
    unique = above(one)
    if level == "IMAGE":
        unique["SOPInstanceUID"] = one.sop_instance_uid
    if level == "STUDY":
        del unique["SeriesInstanceUID"]
    return client.find(level, unique | keys)


# -- sequences (PS3.4 C.2.2.2.6)


@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({"RequestedProcedureID": "RP1"}, [{"RequestedProcedureID": "RP1"}]),
        ({"RequestedProcedureID": "RP*"}, [{"RequestedProcedureID": "RP1"}, {"RequestedProcedureID": "RP2"}]),
        (
            {"RequestedProcedureID": "RP2", "RequestedProcedureDescription": "", "AccessionNumber": ""},
            [{"AccessionNumber": "", "RequestedProcedureDescription": "about RP2", "RequestedProcedureID": "RP2"}],
        ),
    ],
)
def test_items_are_those_that_match_with_what_was_asked_for(
    client: Client, stored: corpus.Object, level: str, key: dict, expected: list
) -> None:
    [identifier] = find(client, level, stored, RequestAttributesSequence=[dataset_of(**key)]).identifiers
    items = [{one.keyword: str(one.value or "") for one in item} for item in identifier.RequestAttributesSequence]
    assert items == expected


def test_items_within_items(client: Client, stored: corpus.Object) -> None:
    inner = dataset_of(CodeValue="B", CodeMeaning="")
    key = dataset_of(RequestedProcedureID="RP1", RequestedProcedureCodeSequence=[inner])
    [identifier] = find(client, "IMAGE", stored, RequestAttributesSequence=[key]).identifiers
    [item] = identifier.RequestAttributesSequence
    assert item.dir() == ["RequestedProcedureCodeSequence", "RequestedProcedureID"]
    [code] = item.RequestedProcedureCodeSequence
    assert (code.CodeValue, code.CodeMeaning) == ("B", "is B")


@pytest.mark.parametrize("syntax", [corpus.EXPLICIT, corpus.IMPLICIT, corpus.BIG_ENDIAN])
def test_numbers_keep_their_sign_without_what_tells_it(client: Client, syntax: str) -> None:
    """In implicit VR that is Pixel Representation, which may not have been asked for."""
    item = dataset_of(PixelRepresentation=1, SmallestImagePixelValue=-7, Rows=3)
    one = corpus.make_object(corpus.IMPLICIT, ReferencedRequestSequence=[item])
    assert client.store(one) == [0]
    key = dataset_of(Rows=None, SmallestImagePixelValue=None)
    keys = above(one) | {"QueryRetrieveLevel": "IMAGE", "ReferencedRequestSequence": [key]}
    with client.associated([Proposal(FIND["STUDY"], (syntax,))]) as association:
        found = Answers(tuple(query.find(association, FIND["STUDY"], dataset_of(**keys))))
    assert found.statuses == (0xFF00, 0)
    [answered] = found.identifiers[0].ReferencedRequestSequence
    if syntax == corpus.IMPLICIT:
        assert answered.SmallestImagePixelValue == b"\xf9\xff"
    else:
        assert (answered.SmallestImagePixelValue, answered.Rows) == (-7, 3)


@pytest.mark.parametrize("value", [[], [Dataset()]])
def test_without_keys_whole_items_are_returned(client: Client, stored: corpus.Object, value: list) -> None:
    [identifier] = find(client, "SERIES", stored, RequestAttributesSequence=value).identifiers
    assert [item.ScheduledProcedureStepID for item in identifier.RequestAttributesSequence] == ["SRP1", "SRP2"]


# -- values that cannot be told


def test_a_value_that_is_none_of_its_vr_leaves_its_key_empty(client: Client) -> None:
    study, series = uids.new_uid(), uids.new_uid()
    same = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "Columns": 7}
    objects = [corpus.make_object(**same, Rows=rows) for rows in ([2, 2], 3)]
    assert client.store(*objects) == [0, 0]
    keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": "", "Rows": "", "Columns": ""}
    found = client.find("IMAGE", keys)
    assert sorted(found.statuses) == [0, 0xFF00, 0xFF01]
    assert {one.SOPInstanceUID: (one.Rows, one.Columns) for one in found.identifiers} == {
        objects[0].sop_instance_uid: (None, 7),
        objects[1].sop_instance_uid: (3, 7),
    }


def test_a_letter_where_none_can_be_is_no_question_mark(client: Client) -> None:
    one = corpus.make_object(StudyDescription="Sch\u00e4del", Modality="C\u00dc", SpecificCharacterSet="ISO_IR 192")
    raw = one.encoded
    assert "C\u00dc".encode() in raw or b"C\xdc" in raw
    assert client.store(one) == [0]
    found = find(client, "SERIES", one, Modality="", StudyDescription="")
    assert found.statuses == (0xFF01, 0)
    assert (found.identifiers[0].Modality, found.identifiers[0].StudyDescription) == ("", "Sch\u00e4del")


def test_what_no_header_has_is_not_supported(client: Client, stored: corpus.Object) -> None:
    keys = {0x0020000D: "StudyInstanceUID", 0x0020000E: "SeriesInstanceUID"}
    unique = [element(tag, "UI", stored.dataset[keyword].value.encode()) for tag, keyword in keys.items()]
    found, _ = ask(client, element(0x00080052, "CS", b"IMAGE"), *unique, element(0x7FE00010, "OB", b""))
    assert found.statuses == (0xFF01, 0)


@pytest.mark.parametrize("character", ["\u00e4", "\u5c71"])
def test_no_value_is_cut_within_a_character(client: Client, character: str) -> None:
    """16 bits tell the length of a value in explicit VR; in implicit VR, a sender is free."""
    several = [f"{character}{number}" * 500 for number in range(80)]
    objects = []
    for keyword, value in (("PatientComments", f"a{character * 40_000}"), ("OtherPatientIDs", several)):
        patient_id = f"{keyword}{ord(character)}"
        dataset = corpus.make_dataset(SpecificCharacterSet="ISO_IR 192", PatientID=patient_id, **{keyword: value})
        objects.append(corpus.encoded(dataset, corpus.IMPLICIT))
    assert client.store(*objects) == [0, 0]
    keys = {"SpecificCharacterSet": "ISO_IR 192", "PatientComments": "", "OtherPatientIDs": ""}
    for one in objects:
        patient_id = one.dataset.PatientID
        [identifier] = client.find("PATIENT", keys | {"PatientID": patient_id}, model="PATIENT").identifiers
        if patient_id.startswith("PatientComments"):
            assert set(identifier.PatientComments) == {"a", character} and len(identifier.PatientComments) > 20_000
        else:
            count = len(identifier.OtherPatientIDs)
            assert count > 20 and list(identifier.OtherPatientIDs) == several[:count]


# -- attributes that are not asked for as others are


def test_private_attributes_come_with_their_creator_or_not_at_all(client: Client, stored: corpus.Object) -> None:
    unique = element(0x0020000D, "UI", stored.dataset.StudyInstanceUID.encode())
    creator, private = element(0x00090010, "LO", b"ACME"), element(0x00091001, "LO", b"")
    item = private + element(0x00401001, "SH", b"")
    sequence = element(0x00400275, "SQ", b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item)
    for keys, tags in (
        ((private, LEVEL), []),
        ((creator, private, LEVEL), [0x00090010, 0x00091001]),
        ((element(0x00090011, "LO", b"OTHER"), private, LEVEL), [0x00090011]),
        ((LEVEL, element(0x00190010, "LO", b""), element(0x00191001, "LO", b"")), []),
    ):
        found, _ = ask(client, *keys, unique)
        [identifier] = found.identifiers
        assert [one.tag for one in identifier if one.tag.is_private] == tags
        assert found.statuses == (0xFF01, 0)
        if 0x00090010 in tags:
            assert identifier[0x00090010].value == "ACME"
    series = element(0x0020000E, "UI", stored.dataset.SeriesInstanceUID.encode())
    found, _ = ask(client, element(0x00080052, "CS", b"SERIES"), unique, series, sequence)
    assert [one.keyword for one in found.identifiers[0].RequestAttributesSequence[0]] == ["RequestedProcedureID"]


def test_elements_that_are_none_of_a_data_set_are_passed_over(client: Client, stored: corpus.Object) -> None:
    unique = element(0x0020000D, "UI", stored.dataset.StudyInstanceUID.encode())
    odd = [element(0x00000002, "UI", b"1.2"), element(0x00020010, "UI", b"1.2.840.10008.1.2")]
    lengths = element(0x00080000, "UL", b"\x10\0\0\0")
    found, _ = ask(client, *odd, lengths, LEVEL, unique, element(0xFFFCFFFC, "OB", bytes(10)))
    assert found.statuses == (0xFF00, 0)
    assert [f"{one.tag:08X}" for one in found.identifiers[0]] == ["00080005", "00080052", "00080054", "0020000D"]
    only, _ = ask(client, *odd)
    assert only.status == 0xC000


@pytest.mark.parametrize(("level", "expected", "status"), [("IMAGE", "+0200", 0xFF00), ("STUDY", "", 0xFF01)])
def test_time_zone_is_answered(client: Client, stored: corpus.Object, level: str, expected: str, status: int) -> None:
    for asked in ("", "+0100"):  # the latter tells what times in the query mean, and is no key
        found = find(client, level, stored, TimezoneOffsetFromUTC=asked)
        assert found.statuses == (status, 0)
        assert found.identifiers[0].TimezoneOffsetFromUTC == expected


@pytest.mark.parametrize("level", ["study", "Study ", "sTUDY"])
def test_level_is_read_in_any_case(client: Client, stored: corpus.Object, level: str) -> None:
    found = client.find(level, {"StudyInstanceUID": stored.dataset.StudyInstanceUID})
    assert found.statuses == (0xFF00, 0)
    assert found.identifiers[0].QueryRetrieveLevel == "STUDY"


# -- text


CHINESE = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"


@pytest.mark.parametrize(
    ("character_set", "key"),
    [
        (b"\\ISO 2022 IR 58", CHINESE),
        (b"\\ISO 2022 IR 58", b"=" + CHINESE.partition(b"=")[2]),
        (b"\\ISO_IR 58", CHINESE),
        (b"GB18030", "=\u5f20^\u5c0f\u4e1c".encode("gb18030")),
    ],
)
def test_names_in_code_extensions_are_found(client: Client, character_set: bytes, key: bytes) -> None:
    one = corpus.make_object(
        SpecificCharacterSet="ISO_IR 192", PatientID="ZHANG", PatientName="Zhang^XiaoDong=\u5f20^\u5c0f\u4e1c"
    )
    assert client.store(one) == [0]
    found, _ = ask(client, element(0x00080005, "CS", character_set), LEVEL, element(0x00100010, "PN", key),
                   element(0x00100020, "LO", b""))  # fmt: skip
    assert set(found.values("PatientID")) == {"ZHANG"}


def test_a_lone_set_with_code_extensions_only_is_understood(client: Client) -> None:
    one = corpus.make_object(SpecificCharacterSet="ISO_IR 192", PatientID="KIM", StudyDescription="\ud64d\uae38\ub3d9")
    assert client.store(one) == [0]
    description = "\ud64d\uae38\ub3d9".encode("euc_kr")
    found, _ = ask(client, element(0x00080005, "CS", b"ISO_IR 149"), LEVEL, element(0x00081030, "LO", description),
                   element(0x00100020, "LO", b""))  # fmt: skip
    assert found.values("PatientID") == ["KIM"]


def test_text_of_headers_is_decoded_as_that_of_the_index(client: Client) -> None:
    """Name and comment stand in the stored header only, in code extensions that pydicom does not read in names."""
    physician = element(0x00081048, "PN", CHINESE)
    raw = corpus.make_object().encoded
    dataset = read_data_set(raw, corpus.EXPLICIT, elements_max=1000, depth_max=1)
    del dataset.PatientName
    written = write_data_set(dataset, corpus.EXPLICIT)
    position = written.index(element(0x00100020, "LO", b"CORPUS"))
    raw = element(0x00080005, "CS", b"\\ISO 2022 IR 58") + written[:position] + physician + written[position:]
    status, _ = client.store_raw(
        raw, abstract_syntax=dataset.SOPClassUID, AffectedSOPInstanceUID=dataset.SOPInstanceUID
    )
    assert status == 0
    one = corpus.Object(dataset.SOPClassUID, dataset.SOPInstanceUID, corpus.EXPLICIT, raw, dataset)
    found = find(client, "IMAGE", one, SpecificCharacterSet="ISO_IR 192", PhysiciansOfRecord="*\u5c0f\u4e1c")
    assert found.values("PhysiciansOfRecord") == ["Zhang^XiaoDong=\u5f20^\u5c0f\u4e1c"]
