"""GDCM's gdcmscu as one more client: echo, store, find, move."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers import Address, files
from tests.peers.gdcm import Gdcm
from tests.peers.node import Node
from tests.peers.ports import free_port
from tests.services.client import Client
from tests.services.corpus import kinds_of

PATIENT_ID, STUDY_UID, SERIES_UID = "10,20", "20,d", "20,e"


def test_echo(node: Node, gdcm: Gdcm) -> None:
    assert gdcm.echo(node.address).is_released


def test_store(node: Node, client: Client, gdcm: Gdcm, tmp_path: Path) -> None:
    sent = files.make_small(tmp_path / "sent", 3, patient_id="GDCM")
    answer = gdcm.store(node.address, tmp_path / "sent")
    assert answer.is_released
    assert answer.statuses == (0, 0, 0)
    keys = {"SOPInstanceUID": [sample.sop_instance_uid for sample in sent]}
    fetched = client.get("IMAGE", keys, kinds_of(sent), model="COMPOSITE")
    assert {uid: data_set for uid, (_, data_set) in fetched.received.items()} == {
        sample.sop_instance_uid: sample.data_set() for sample in sent
    }


@pytest.mark.parametrize(
    ("level", "keys", "model", "count"),
    [
        ("PATIENT", (PATIENT_ID,), "PATIENT", 1),
        ("STUDY", (PATIENT_ID, STUDY_UID), "PATIENT", 1),
        ("STUDY", (STUDY_UID,), "STUDY", 1),
        ("SERIES", (STUDY_UID, SERIES_UID), "STUDY", 1),
    ],
)
def test_find_and_move(
    node: Node,
    client: Client,
    gdcm: Gdcm,
    tmp_path: Path,
    level: str,
    keys: tuple[str, ...],
    model: str,
    count: int,
) -> None:
    sent = files.make_small(tmp_path / "sent", 2, patient_id=f"GDCM-{level}-{model}")
    assert client.store(*sent) == [0, 0]
    dataset = files.pydicom.dcmread(sent[0].path, stop_before_pixels=True)
    values = {
        PATIENT_ID: dataset.PatientID,
        STUDY_UID: dataset.StudyInstanceUID,
        SERIES_UID: dataset.SeriesInstanceUID,
    }
    asked = {key: values[key] for key in keys}
    found = gdcm.find(node.address, level, asked, model=model)
    assert found.statuses == (0xFF00,) * count + (0x0000,)

    itself = Address("GDCMSCU", free_port())
    node.add_remote(itself)
    moved = gdcm.move(node.address, tmp_path / "moved", level, asked, model=model, port=itself.port)
    assert moved.statuses[-1] == 0
    received = {path.stem: files.data_set_bytes(path) for path in (tmp_path / "moved").iterdir()}
    assert received.keys() == {sample.sop_instance_uid for sample in sent}
    for sample in sent:
        pixels = files.pydicom.dcmread(tmp_path / "moved" / f"{sample.sop_instance_uid}.dcm").PixelData
        assert pixels == files.pydicom.dcmread(sample.path).PixelData


def test_find_without_a_match(node: Node, gdcm: Gdcm) -> None:
    assert gdcm.find(node.address, "STUDY", {STUDY_UID: "1.2.3.4"}).statuses == (0x0000,)


def test_unknown_calling_ae_title(node: Node, gdcm: Gdcm, tmp_path: Path) -> None:
    files.make_small(tmp_path / "sent")
    assert not gdcm.echo(node.address, calling_ae_title="INTRUDER").is_released
    assert gdcm.store(node.address, tmp_path / "sent", calling_ae_title="INTRUDER").statuses == ()
