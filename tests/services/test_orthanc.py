"""Orthanc on the other side: it stores to us, queries us, retrieves from us, and is a C-MOVE destination."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeDirectory
from tests.peers import files
from tests.peers.files import Sample
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc
from tests.services.client import Client
from tests.services.corpus import kinds_of


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node], orthanc: Orthanc) -> Node:
    """Give a node and an Orthanc that know each other."""
    node = start_node()
    node.add_remote(orthanc.address)
    orthanc.add_remote("medserver", node.address)
    return node


@pytest.fixture
def empty(orthanc: Orthanc) -> Iterator[Orthanc]:
    """Give Orthanc without instances."""
    orthanc.clear()
    yield orthanc
    orthanc.clear()


def header(sample: Sample) -> files.pydicom.Dataset:
    return files.pydicom.dcmread(sample.path, stop_before_pixels=True)


def series(directory: Path, patient_id: str) -> tuple[list[Sample], dict[str, str]]:
    """Write a small series; return it with the unique key of its study."""
    samples = files.make_series(directory, 4, rows=64, columns=64, patient_id=patient_id)
    return samples, {"StudyInstanceUID": header(samples[0]).StudyInstanceUID}


def test_echo_in_both_directions(node: Node, orthanc: Orthanc) -> None:
    orthanc.echo("medserver")
    node.cli("ae", "echo", "ORTHANC").check()


def test_it_stores_to_us(node: Node, client: Client, empty: Orthanc, tmp_path: Path) -> None:
    sent, study = series(tmp_path, "FROM-ORTHANC")
    uploaded = empty.upload(*(sample.path for sample in sent))
    stored = empty.store("medserver", uploaded)
    assert (stored["InstancesCount"], stored["FailedInstancesCount"]) == (4, 0)
    fetched = client.get("STUDY", study, kinds_of(sent))
    assert {uid: data_set for uid, (_, data_set) in fetched.received.items()} == {
        sample.sop_instance_uid: sample.data_set() for sample in sent
    }


def test_it_stores_compressed_images_to_us(node: Node, client: Client, empty: Orthanc) -> None:
    names = ("JPEG2000.dcm", "MR_small_RLE.dcm", "SC_rgb_jpeg_gdcm.dcm", "image_dfl.dcm")
    sent = [sample for sample in files.samples() if sample.path.name in names]
    assert len(sent) == 4
    stored = empty.store("medserver", empty.upload(*(sample.path for sample in sent)))
    assert stored["FailedInstancesCount"] == 0
    keys = {"SOPInstanceUID": [sample.sop_instance_uid for sample in sent]}
    fetched = client.get("IMAGE", keys, kinds_of(sent), model="COMPOSITE")
    received = {uid: transfer_syntax_uid for uid, (transfer_syntax_uid, _) in fetched.received.items()}
    assert received == {sample.sop_instance_uid: sample.transfer_syntax_uid for sample in sent}


def test_it_is_a_move_destination(node: Node, client: Client, empty: Orthanc, tmp_path: Path) -> None:
    sent, study = series(tmp_path, "TO-ORTHANC")
    assert client.store(*sent) == [0] * 4
    moved = client.move("ORTHANC", "STUDY", study)
    assert (moved.status, moved.counters["completed"]) == (0, 4)
    empty.wait_for_instances(sample.sop_instance_uid for sample in sent)
    held = empty.instances()
    for sample in sent:
        assert empty.file(held[sample.sop_instance_uid]).endswith(sample.data_set())


@pytest.mark.parametrize(
    ("level", "keys", "count"),
    [
        ("Patient", {"PatientID": "QUERIED", "PatientName": ""}, 1),
        ("Study", {"PatientID": "QUERIED", "StudyDescription": "", "ModalitiesInStudy": "CT"}, 1),
        ("Study", {"PatientID": "QUERIED", "ModalitiesInStudy": "MR"}, 0),
        ("Study", {"PatientName": "phant*", "PatientID": "QUERIED", "StudyDate": "20260101-20260201"}, 1),
        ("Series", {"PatientID": "QUERIED", "StudyInstanceUID": "-", "Modality": "CT"}, 1),
        (
            "Instance",
            {"PatientID": "QUERIED", "StudyInstanceUID": "-", "SeriesInstanceUID": "-", "InstanceNumber": ""},
            4,
        ),
    ],
)
def test_it_queries_us(
    node: Node, empty: Orthanc, queried: Sample, level: str, keys: dict[str, str], count: int
) -> None:
    dataset = header(queried)
    asked = {keyword: dataset[keyword].value if value == "-" else value for keyword, value in keys.items()}
    _, answers = empty.find("medserver", level, asked)
    assert len(answers) == count
    assert all(answer["PatientID"] == "QUERIED" for answer in answers)


@pytest.fixture(scope="module")
def queried(client: Client, make_directory: MakeDirectory) -> Sample:
    sent, _ = series(make_directory("queried"), "QUERIED")
    assert client.store(*sent) == [0] * 4
    return sent[0]


def test_it_queries_and_retrieves_from_us(node: Node, empty: Orthanc, queried: Sample) -> None:
    query, answers = empty.find("medserver", "Study", {"PatientID": "QUERIED"})
    assert len(answers) == 1
    empty.retrieve(query)
    assert len(empty.instances()) == 4
    assert queried.sop_instance_uid in empty.instances()


def test_it_retrieves_an_image_and_a_series(node: Node, empty: Orthanc, queried: Sample) -> None:
    dataset = header(queried)
    keys = {"StudyInstanceUID": dataset.StudyInstanceUID, "SeriesInstanceUID": dataset.SeriesInstanceUID}
    empty.move("medserver", "Instance", [keys | {"SOPInstanceUID": queried.sop_instance_uid}])
    assert list(empty.instances()) == [queried.sop_instance_uid]
    empty.move("medserver", "Series", [keys])
    assert len(empty.instances()) == 4
