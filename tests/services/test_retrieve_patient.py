"""C-GET and C-MOVE: whose images they are is certain (PS3.4 C.4.2.1.4.1, C.4.2.2.1)."""

from __future__ import annotations

import pytest

from tests.services import corpus
from tests.services.client import Client
from tests.services.corpus import kinds_of


def store(client: Client, **attributes: object) -> corpus.Object:
    one = corpus.make_object(**attributes)
    assert client.store(one) == [0]
    return one


@pytest.fixture(scope="module")
def namesakes(client: Client) -> list[corpus.Object]:
    """Store instances of two persons to whom two hospitals have given the same Patient ID."""
    return [
        store(client, PatientID="4711", IssuerOfPatientID=issuer, PatientName=name)
        for issuer, name in (("NORTH", "Berg^Anna"), ("SOUTH", "Tal^Otto"))
    ]


@pytest.mark.parametrize("model", ["PATIENT", "PATIENT_STUDY_ONLY"])
def test_an_id_of_two_persons_sends_neither(client: Client, namesakes: list[corpus.Object], model: str) -> None:
    fetched = client.get("PATIENT", {"PatientID": "4711"}, kinds_of(namesakes), model=model)
    assert (fetched.statuses, fetched.received) == ((0xA900,), {})
    assert "issuer" in fetched.comment
    moved = client.move("STORESCU", "PATIENT", {"PatientID": "4711"}, model=model)
    assert moved.status == 0xA900
    for one in namesakes:
        keys = {"PatientID": "4711", "IssuerOfPatientID": one.dataset.IssuerOfPatientID}
        assert list(client.get("PATIENT", keys, kinds_of([one]), model=model).received) == [one.sop_instance_uid]


def test_an_id_of_two_persons_by_mistake_sends_neither(client: Client) -> None:
    """Nothing tells them apart but their names; their studies can be retrieved."""
    objects = [store(client, PatientID="SAME", PatientName=name) for name in ("One^Person", "Another^Person")]
    fetched = client.get("PATIENT", {"PatientID": "SAME"}, kinds_of(objects), model="PATIENT")
    assert (fetched.statuses, fetched.received) == ((0xA900,), {})
    keys = {"PatientID": "SAME", "StudyInstanceUID": objects[0].dataset.StudyInstanceUID}
    fetched = client.get("STUDY", keys, kinds_of(objects), model="PATIENT")
    assert list(fetched.received) == [objects[0].sop_instance_uid]


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_issuer_counts_at_every_level(client: Client, namesakes: list[corpus.Object], level: str) -> None:
    north = namesakes[0].dataset
    keys = {"PatientID": "4711", "StudyInstanceUID": north.StudyInstanceUID}
    keys |= {"SeriesInstanceUID": north.SeriesInstanceUID, "SOPInstanceUID": north.SOPInstanceUID}
    for issuer, count in (("NORTH", 1), ("SOUTH", 1 if level == "PATIENT" else 0), ("EAST", 0)):
        fetched = client.get(level, keys | {"IssuerOfPatientID": issuer}, kinds_of(namesakes), model="PATIENT")
        assert (fetched.status, len(fetched.received)) == (0, count), issuer


def test_a_pattern_is_no_issuer(client: Client, namesakes: list[corpus.Object]) -> None:
    keys = {"PatientID": "4711", "IssuerOfPatientID": "NOR*"}
    assert client.get("PATIENT", keys, kinds_of(namesakes), model="PATIENT").received == {}


def test_a_backslash_may_be_part_of_a_character(client: Client) -> None:
    """The second byte of the letter in GB18030 is 5C; the ID is one value all the same."""
    patient_id = "A\u4e57B"
    assert patient_id.encode("gb18030").count(b"\\") == 1
    same = {"SpecificCharacterSet": "GB18030", "PatientID": patient_id}
    own, other = store(client, **same), store(client, PatientID="A")
    fetched = client.get("PATIENT", same, kinds_of([own, other]), model="PATIENT")
    assert (fetched.status, list(fetched.received)) == (0, [own.sop_instance_uid])
    found = client.find("PATIENT", same | {"SpecificCharacterSet": "GB18030"}, model="PATIENT")
    assert found.values("PatientID") == [patient_id]
