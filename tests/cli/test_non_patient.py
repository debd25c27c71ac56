"""medserver find, get and move, for protocols and other objects that belong to no patient."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom.sop_class import ColorPaletteStorage, HangingProtocolStorage

from medserver.cli.find import USUAL_RETURN_KEYS_OF_MODELS
from medserver.cli.model import MODELS
from tests.peers.node import Node
from tests.peers.receiver import Receiver


def write(path: Path, sop_class_uid: str, **attributes: object) -> str:
    """Write an object, and return its SOP Instance UID."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class_uid, generate_uid()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return str(dataset.SOPInstanceUID)


@pytest.fixture
def filled(make_node, tmp_path: Path) -> tuple[Node, str]:
    """Give a running node with a hanging protocol and a colour palette, and the UID of the first."""
    node = make_node()
    node.add_remote("MEDSERVER")
    node.start()
    (tmp_path / "objects").mkdir()
    uid = write(tmp_path / "objects/hanging.dcm", HangingProtocolStorage, HangingProtocolName="Chest")
    write(tmp_path / "objects/palette.dcm", ColorPaletteStorage, ContentLabel="HOT_IRON")
    node.cli("send", peer(node), tmp_path / "objects").check()
    return node, uid


def peer(node: Node) -> str:
    return f"{node.address.ae_title}@{node.address.host}:{node.address.port}"


def test_they_are_found(filled: tuple[Node, str]) -> None:
    node, uid = filled
    table = node.cli("find", peer(node), "--model", "hanging-protocol").check().output
    assert "HangingProtocolName" in table
    assert "Chest" in table and uid in table and "HOT_IRON" not in table
    found = node.cli("find", peer(node), "--model", "color-palette", "-k", "ContentLabel=HOT*", "--json").check()
    [match] = json.loads(found.output)
    assert match["00700080"]["Value"] == ["HOT_IRON"]
    assert match["00080016"]["Value"] == [ColorPaletteStorage]
    assert "0 matches" in node.cli("find", peer(node), "--model", "protocol-approval").check().output


def test_they_are_fetched(filled: tuple[Node, str], tmp_path: Path) -> None:
    node, uid = filled
    got = node.cli("get", peer(node), tmp_path / "got", "--model", "hanging-protocol", "-k", f"SOPInstanceUID={uid}")
    assert "received 1 instance" in got.check().output
    assert pydicom.dcmread(tmp_path / "got" / f"{uid}.dcm").HangingProtocolName == "Chest"


def test_they_are_moved(filled: tuple[Node, str]) -> None:
    node, uid = filled
    with Receiver("ARCHIVE", {HangingProtocolStorage: (ExplicitVRLittleEndian,)}) as receiver:
        node.add_remote(receiver.address, allow=())
        moved = ("move", peer(node), "--to", "ARCHIVE", "--model", "hanging-protocol", "-k", f"SOPInstanceUID={uid}")
        node.cli(*moved).check()
    assert list(receiver.received) == [uid]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--level", "study"), "a single level"),
        (("--relational",), "a single level"),
        (("-k", "QueryRetrieveLevel=IMAGE"), "a single level"),
    ],
)
def test_they_have_no_levels(make_node, options: tuple[str, ...], problem: str) -> None:
    completed = make_node().cli("find", "MEDSERVER@127.0.0.1:1", "--model", "color-palette", *options)
    assert completed.exit_code == 2
    assert problem in completed.output


def test_every_model_has_usual_keys() -> None:
    assert set(USUAL_RETURN_KEYS_OF_MODELS) == {model.name for model in MODELS.values() if model.storage_sop_classes}
