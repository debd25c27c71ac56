"""C-FIND: what the answers hold, how they are encoded, and how they end (PS3.4 C.4.1.1.3, C.4.1.1.4)."""

from __future__ import annotations

import pytest
from medserver.scu import query
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage, UltrasoundImageStorage
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from tests.peers.node import Node
from tests.services import corpus
from tests.services.client import FIND, Answers, Client, identifier_of
from tests.services.corpus import BIG_ENDIAN, EXPLICIT, IMPLICIT
from tests.services.peer import answers, associated

# Odd queries are made on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:.*(VR LO|Unknown encoding).*:UserWarning")


def store(client: Client, *objects: corpus.Object) -> None:
    assert client.store(*objects) == [0] * len(objects)


def above(one: corpus.Object, *keywords: str) -> dict[str, str]:
    """Return the unique keys of the study and series of an object."""
    return {keyword: str(one.dataset[keyword].value) for keyword in ("StudyInstanceUID", *keywords)}


def find_image(client: Client, one: corpus.Object, **keys: object) -> Answers:
    """Query at IMAGE level for one instance."""
    unique = above(one, "SeriesInstanceUID") | {"SOPInstanceUID": one.sop_instance_uid}
    return client.find("IMAGE", {"SpecificCharacterSet": "ISO_IR 192"} | unique | keys)


# -- computed attributes -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(client: Client) -> list[corpus.Object]:
    """Store one patient with two studies: CT and MR in one, ultrasound in the other."""
    same = {"PatientID": "MIXED", "PatientName": "Mixed^Modalities"}
    ct = corpus.make_study(3, **same)
    study = ct[0].dataset.StudyInstanceUID
    mr = corpus.make_study(2, **same, StudyInstanceUID=study, Modality="MR", SOPClassUID=MRImageStorage)
    us = corpus.make_study(1, **same, Modality="US", SOPClassUID=UltrasoundImageStorage)
    store(client, *ct, *mr, *us)
    return [*ct, *mr, *us]


def test_computed_attributes_of_a_patient(client: Client, mixed: list[corpus.Object]) -> None:
    names = [f"NumberOfPatientRelated{what}" for what in ("Studies", "Series", "Instances")]
    [found] = client.find(
        "PATIENT", {"PatientID": "MIXED"} | dict.fromkeys(names, ""), model="PATIENT"
    ).identifiers
    assert [int(found[name].value) for name in names] == [2, 3, 6]


def test_computed_attributes_of_a_study(client: Client, mixed: list[corpus.Object]) -> None:
    keys = [
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "ModalitiesInStudy",
        "SOPClassesInStudy",
    ]
    [found] = client.find("STUDY", above(mixed[0]) | dict.fromkeys(keys, "")).identifiers
    assert (found.NumberOfStudyRelatedSeries, found.NumberOfStudyRelatedInstances) == (2, 5)
    assert set(found.ModalitiesInStudy) == {"CT", "MR"}
    assert set(found.SOPClassesInStudy) == {CTImageStorage, MRImageStorage}


def test_computed_attributes_of_series_and_image(client: Client, mixed: list[corpus.Object]) -> None:
    found = client.find(
        "SERIES", above(mixed[0]) | dict.fromkeys(["Modality", "NumberOfSeriesRelatedInstances"], "")
    )
    counts = {one.Modality: one.NumberOfSeriesRelatedInstances for one in found.identifiers}
    assert counts == {"CT": 3, "MR": 2}
    [image] = find_image(client, mixed[0], AvailableTransferSyntaxUID="", InstanceAvailability="").identifiers
    assert image.AvailableTransferSyntaxUID == EXPLICIT
    assert image.InstanceAvailability == "ONLINE"
    assert image.RetrieveAETitle == "MEDSERVER"


@pytest.mark.parametrize(
    ("keys", "indices"),
    [
        ({"ModalitiesInStudy": "MR"}, [0]),
        ({"ModalitiesInStudy": "US"}, [5]),
        ({"ModalitiesInStudy": ["US", "MR"]}, [0, 5]),
        ({"ModalitiesInStudy": "XA"}, []),
        ({"ModalitiesInStudy": "?R"}, [0]),
        ({"SOPClassesInStudy": UltrasoundImageStorage}, [5]),
        ({"NumberOfStudyRelatedInstances": "5"}, [0]),
        ({"NumberOfPatientRelatedStudies": "2"}, [0, 5]),
    ],
)
@pytest.mark.filterwarnings("ignore:.*VR CS.*:UserWarning")
def test_matching_of_computed_attributes(
    client: Client, mixed: list[corpus.Object], keys: dict[str, object], indices: list[int]
) -> None:
    found = client.find("STUDY", {"PatientID": "MIXED", "StudyInstanceUID": ""} | keys)
    assert found.status == 0
    assert sorted(found.values("StudyInstanceUID")) == sorted(
        mixed[index].dataset.StudyInstanceUID for index in indices
    )


# -- keys that the index does not have -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"]
)
def test_keys_that_only_the_header_has(client: Client, syntax: str) -> None:
    one = corpus.make_object(
        syntax,
        SpecificCharacterSet="ISO_IR 100",
        KVP="120",
        ConvolutionKernel=["B30", "Ü40"],
        ImageComments="größe\\1",
        PhysiciansOfRecord="Ärztin^Eva",
        SamplesPerPixel=3,
        PixelRepresentation=1,
        SmallestImagePixelValue=-7,
        RecommendedDisplayFrameRate=0,
        TriggerTime="0",
        ExposureTimeInms=1.5,
    )
    store(client, one)
    keywords = [
        "KVP",
        "ConvolutionKernel",
        "ImageComments",
        "PhysiciansOfRecord",
        "SamplesPerPixel",
        "TriggerTime",
    ]
    keywords += [
        "RecommendedDisplayFrameRate",
        "ExposureTimeInms",
        "SmallestImagePixelValue",
        "SliceThickness",
    ]
    found = find_image(client, one, **dict.fromkeys(keywords, ""))
    assert found.statuses == (0xFF00, 0x0000)
    [identifier] = found.identifiers
    for keyword in keywords[:-1]:
        assert identifier[keyword].value == one.dataset[keyword].value, keyword
    assert identifier["SliceThickness"].is_empty


def test_header_values_that_cannot_be_read_are_left_empty(client: Client) -> None:
    """Neither a number that is none nor a sequence in pieces stops the query; the other values are answered."""
    one = corpus.make_object(InstanceNumber=1)
    tail = bytes.fromhex("28000200") + b"US\x03\0\1\0\0" + bytes.fromhex("28005010") + b"DS\x02\0" + b"5 "
    sequence = bytes.fromhex("40007502") + b"SQ\0\0\x0a\0\0\0" + b"\xfe\xff\x00\xe0\xff\xff\x00\x00\x01\x02"
    code, _ = client.store_raw(
        one.encoded + tail + sequence,
        abstract_syntax=one.sop_class_uid,
        AffectedSOPInstanceUID=one.sop_instance_uid,
    )
    assert code == 0
    found = find_image(client, one, SamplesPerPixel="", WindowCenter="", RequestAttributesSequence="")
    [identifier] = found.identifiers
    assert (identifier.SamplesPerPixel, identifier.WindowCenter) == (None, 5)
    assert find_image(client, one, SamplesPerPixel=1).statuses == (0x0000,)


def test_query_with_the_wrong_vr(client: Client, mixed: list[corpus.Object]) -> None:
    """What the VR of a known attribute is, is not for the peer to say."""
    identifier = identifier_of("STUDY", above(mixed[0]))
    identifier.add_new("PatientID", "US", None)
    identifier.add_new("NumberOfStudyRelatedInstances", "US", None)
    identifier.add_new("StudyDate", "LO", "1" * 100)
    with client.associated([query.proposal(FIND["STUDY"])]) as association:
        found = Answers(tuple(query.find(association, FIND["STUDY"], identifier)))
        assert found.status == 0xA900
        del identifier.StudyDate
        found = Answers(tuple(query.find(association, FIND["STUDY"], identifier)))
    assert found.statuses == (0xFF00, 0x0000)
    [answered] = found.identifiers
    assert (answered.PatientID, answered.NumberOfStudyRelatedInstances) == ("MIXED", 5)


@pytest.mark.parametrize(
    ("keys", "is_found"),
    [
        ({"KVP": "120"}, True),
        ({"KVP": "120.0"}, True),
        ({"KVP": "121"}, False),
        ({"ConvolutionKernel": "H4?s"}, True),
        ({"ConvolutionKernel": "h4?s"}, False),
        ({"PhysiciansOfRecord": "DR^*"}, True),
        ({"AcquisitionDateTime": "20260101-20260201"}, True),
        ({"AcquisitionDateTime": "20260201-"}, False),
        ({"SamplesPerPixel": 1}, True),
        ({"SamplesPerPixel": 3}, False),
        ({"ReferencedImageSequence": [{"ReferencedSOPInstanceUID": "1.2.3"}]}, True),
        ({"ReferencedImageSequence": [{"ReferencedSOPInstanceUID": "1.2.4"}]}, False),
        ({"WindowCenterWidthExplanation": "*"}, True),
        ({"WindowCenterWidthExplanation": "LUNG"}, False),
    ],
)
def test_matching_in_the_header(
    client: Client, header_object: corpus.Object, keys: dict, is_found: bool
) -> None:
    asked = {
        keyword: [dataset_of(item) for item in value] if isinstance(value, list) else value
        for keyword, value in keys.items()
    }
    found = find_image(client, header_object, **asked)
    assert found.status == 0
    assert len(found.identifiers) == is_found


def dataset_of(attributes: dict[str, object]) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.fixture(scope="module")
def header_object(client: Client) -> corpus.Object:
    """Store an instance with attributes that only its header has."""
    one = corpus.make_object(
        KVP="120",
        ConvolutionKernel=["B30f", "H41s"],
        PhysiciansOfRecord="Dr^No",
        AcquisitionDateTime="20260115101112.5",
        SamplesPerPixel=1,
        ReferencedImageSequence=[dataset_of({"ReferencedSOPInstanceUID": "1.2.3"})],
    )
    store(client, one)
    return one


@pytest.mark.parametrize("character_set", ["ISO_IR 192", ["", "ISO 2022 IR 87"]])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_sequence_of_the_header(client: Client, syntax: str, character_set: object) -> None:
    """Its items are encoded anew: in the transfer syntax and the character set of the answer."""
    inner = dataset_of({"CodeValue": "T-A0100", "CodeMeaning": "頭部"})
    item = dataset_of(
        {"RequestedProcedureDescription": "山田 検査", "RequestedProcedureCodeSequence": [inner], "Rows": 5}
    )
    one = corpus.make_object(
        syntax,
        SpecificCharacterSet=character_set,
        ReferencedRequestSequence=[item],
        PatientName="山田^太郎",
        PatientID=f"SEQ{syntax}",
    )
    store(client, one)
    found = find_image(client, one, ReferencedRequestSequence="", SOPClassUID="")
    [identifier] = found.identifiers
    [answered] = identifier.ReferencedRequestSequence
    assert answered.RequestedProcedureDescription == "山田 検査"
    assert answered.RequestedProcedureCodeSequence[0].CodeMeaning == "頭部"
    assert answered.Rows == 5


def test_request_attributes_of_a_series(client: Client) -> None:
    items = [dataset_of({"RequestedProcedureID": "RP1", "ScheduledProcedureStepID": "SPS1"})]
    one = corpus.make_object(RequestAttributesSequence=items)
    store(client, one, corpus.make_object(StudyInstanceUID=one.dataset.StudyInstanceUID))
    for wanted, count_found in (("RP1", 1), ("RP*", 1), ("RP2", 0)):
        key = [dataset_of({"RequestedProcedureID": wanted, "ScheduledProcedureStepID": ""})]
        found = client.find(
            "SERIES", above(one) | {"SeriesInstanceUID": "", "RequestAttributesSequence": key}
        )
        assert found.status == 0
        assert len(found.identifiers) == count_found
    [identifier] = client.find(
        "SERIES", above(one, "SeriesInstanceUID") | {"RequestAttributesSequence": ""}
    ).identifiers
    assert identifier.RequestAttributesSequence[0].ScheduledProcedureStepID == "SPS1"


@pytest.fixture(scope="module")
def requested(client: Client) -> list[corpus.Object]:
    """Store two series of a study, whose requests hold more than the index keeps of them."""
    first = corpus.make_object(RequestAttributesSequence=[request_item("RP1", "Wish^One", "C1")])
    study = first.dataset.StudyInstanceUID
    items = [request_item("RP2", "Wish^Two", "C2"), request_item("RP3", "Wish^Three", "C3")]
    objects = [first, corpus.make_object(StudyInstanceUID=study, RequestAttributesSequence=items)]
    store(client, *objects)
    return objects


def request_item(procedure_id: str, physician: str, code: str) -> Dataset:
    attributes = {"RequestedProcedureID": procedure_id, "RequestingPhysician": physician}
    return dataset_of(attributes | {"RequestedProcedureCodeSequence": [dataset_of({"CodeValue": code})]})


@pytest.mark.parametrize(
    ("key", "is_found"),
    [
        ({"RequestingPhysician": "wish^t*"}, True),
        ({"RequestingPhysician": "wish^one"}, False),
        ({"RequestingPhysician": ""}, True),
        ({"RequestedProcedureID": "RP3", "RequestingPhysician": "*three"}, True),
        ({"RequestedProcedureID": "RP3", "RequestingPhysician": "*two"}, False),
        ({"RequestedProcedureCodeSequence": [dataset_of({"CodeValue": "C3"})]}, True),
        ({"RequestedProcedureCodeSequence": [dataset_of({"CodeValue": "C1"})]}, False),
    ],
)
def test_request_attributes_beyond_the_index_at_image_level(
    client: Client, requested: list[corpus.Object], key: dict, is_found: bool
) -> None:
    """They are matched and returned from the stored header: of the items that match, what was asked for."""
    found = find_image(client, requested[1], RequestAttributesSequence=[dataset_of(key)])
    assert found.statuses == (0xFF00, 0x0000) if is_found else (0x0000,)
    for identifier in found.identifiers:
        items = identifier.RequestAttributesSequence
        assert [set(item.dir()) for item in items] == [set(key)] * len(items)
        physicians = {"wish^t*": ["Wish^Two", "Wish^Three"], "": ["Wish^Two", "Wish^Three"], "*three": ["Wish^Three"]}
        if "RequestingPhysician" in key:
            assert [item.RequestingPhysician for item in items] == physicians[key["RequestingPhysician"]]
        else:
            assert [item.RequestedProcedureCodeSequence[0].CodeValue for item in items] == ["C3"]


@pytest.mark.parametrize(
    ("key", "indices"),
    [
        ({"RequestingPhysician": "nobody"}, [0, 1]),
        ({"RequestingPhysician": ""}, [0, 1]),
        ({"RequestedProcedureID": "RP3", "RequestingPhysician": "nobody"}, [1]),
        ({"RequestedProcedureID": "RP9", "RequestingPhysician": ""}, []),
        ({"RequestedProcedureCodeSequence": [dataset_of({"CodeValue": "C1"})]}, [0, 1]),
    ],
)
def test_request_attributes_beyond_the_index_above_image_level(
    client: Client, requested: list[corpus.Object], key: dict, indices: list[int]
) -> None:
    """They take no part, and the answers say so."""
    keys = {"SeriesInstanceUID": "", "RequestAttributesSequence": [dataset_of(key)]}
    found = client.find("SERIES", above(requested[0]) | keys)
    expected = [requested[index].dataset.SeriesInstanceUID for index in indices]
    assert sorted(found.values("SeriesInstanceUID")) == sorted(expected)
    assert found.statuses == (0xFF01,) * len(indices) + (0x0000,)


@pytest.mark.parametrize(
    ("level", "keyword", "status"),
    [
        ("STUDY", "StudyDescription", 0xFF00),
        ("STUDY", "KVP", 0xFF01),
        ("STUDY", "SeriesDescription", 0xFF01),
        ("STUDY", "ReferencedStudySequence", 0xFF01),
        ("SERIES", "InstanceNumber", 0xFF01),
        ("SERIES", "StudyDescription", 0xFF00),
        ("IMAGE", "KVP", 0xFF00),
    ],
)
def test_keys_that_are_not_supported(
    client: Client, mixed: list[corpus.Object], level: str, keyword: str, status: int
) -> None:
    unique = above(mixed[0], *["SeriesInstanceUID"] * (level != "STUDY"))
    unique |= {"SOPInstanceUID": mixed[0].sop_instance_uid} if level == "IMAGE" else {}
    found = client.find(level, unique | {keyword: ""})
    assert found.statuses == (status, 0x0000)
    assert keyword in found.identifiers[0], "every key is in the answer"


def test_private_key_is_not_supported(client: Client, mixed: list[corpus.Object]) -> None:
    identifier = identifier_of("STUDY", above(mixed[0]))
    identifier.private_block(0x0099, "TESTS", create=True).add_new(1, "LO", "x")
    with client.associated([query.proposal(FIND["STUDY"])]) as association:
        found = Answers(tuple(query.find(association, FIND["STUDY"], identifier)))
    assert found.statuses == (0xFF01, 0x0000)


# -- combined date and time -----------------------------------------------------------------------------------


def test_combined_date_time_matching_is_negotiated(node: Node, client: Client) -> None:
    """PS3.4 C.2.2.2.5.4: 20250704 18:00 to 20250705 09:00, or each for itself."""
    moments = [("20250704", "170000"), ("20250704", "180000"), ("20250705", "083000"), ("20250705", "200000")]
    studies = [
        corpus.make_object(StudyDate=date, StudyTime=time, PatientID="MOMENTS") for date, time in moments
    ]
    store(client, *studies)
    keys = {
        "PatientID": "MOMENTS",
        "StudyDate": "20250704-20250705",
        "StudyTime": "1800-0900",
        "StudyInstanceUID": "",
    }
    model = StudyRootQueryRetrieveInformationModelFind
    with associated(node.address, [model], extended={model: b"\x00\x01"}) as association:
        assert association.acceptor.sop_class_extended[model] == b"\x00\x01"
        statuses, found = answers(association.send_c_find(identifier_of("STUDY", keys), model))
    assert statuses[-1] == 0
    expected = [studies[1], studies[2]]
    assert {one.StudyInstanceUID for one in found} == {one.dataset.StudyInstanceUID for one in expected}

    keys["StudyTime"] = "1800-2100"
    found = client.find("STUDY", keys)
    expected = [studies[1], studies[3]]
    assert set(found.values("StudyInstanceUID")) == {one.dataset.StudyInstanceUID for one in expected}


@pytest.mark.parametrize("pair", [
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
    ("AcquisitionDate", "AcquisitionTime"),
])  # fmt: skip
def test_combined_date_time_matching_in_the_header(client: Client, pair: tuple[str, str]) -> None:
    date, time = pair
    moments = [("20250704", "170000"), ("20250704", "180000"), ("20250705", "083000"), ("20250705", "200000")]
    patient_id = f"MOMENTS {date}"
    objects = [corpus.make_object(PatientID=patient_id, **{date: day, time: hour}) for day, hour in moments]
    store(client, *objects)
    keys = {"PatientID": patient_id, "SOPInstanceUID": "", date: "20250704-20250705", time: "1800-0900"}
    with client.querying("STUDY", extended=b"\x01\x01") as ask_for:
        found = ask_for("IMAGE", keys)
    assert found.status == 0
    expected = [objects[1].sop_instance_uid, objects[2].sop_instance_uid]
    assert sorted(found.values("SOPInstanceUID")) == sorted(expected)
    assert sorted(found.values(date)) == ["20250704", "20250705"]


@pytest.mark.parametrize(
    "keys",
    [
        {"StudyTime": "1800-0900"},
        {"StudyDate": "20250704", "StudyTime": "1800-0900"},
        {"StudyDate": "20250704-", "StudyTime": "1800-0900"},
        {"StudyDate": "20250704-20250704", "StudyTime": "1800-0900"},
        {"StudyDate": "20250704-20250705", "StudyTime": ["1800-0900", "10-11"]},
        {"ContentTime": "1800-0900"},
        {"InstanceCreationTime": "1800-0900"},
    ],
)
def test_range_past_midnight_without_its_date(client: Client, keys: dict) -> None:
    """PS3.4 C.2.2.2.5.2 does not have it, and C.2.2.2.5.4 changes that for pairs only."""
    with client.querying("STUDY", extended=b"\x01\x01") as ask_for:
        found = ask_for("IMAGE", {"SOPInstanceUID": ""} | keys)
    assert found.statuses == (0xA900,)
    assert "ends before it begins" in found.comment
