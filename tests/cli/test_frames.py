"""medserver get --frames and medserver move --frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

from tests import multiframe
from tests.peers import Address
from tests.peers.node import Node
from tests.services import corpus

PIXELS = multiframe.pixels_of(8, 6, 5)


def _peer(address: Address) -> str:
    return f"{address.ae_title}@{address.host}:{address.port}"


@pytest.fixture
def source(tmp_path: Path) -> pydicom.Dataset:
    dataset = multiframe.enhanced_ct()
    dataset.file_meta = corpus.file_meta(corpus.EXPLICIT)
    dataset.save_as(tmp_path / "whole.dcm", enforce_file_format=True)
    return dataset


@pytest.fixture
def node(make_node, source, tmp_path: Path) -> Node:
    node = make_node()
    node.add_remote("MEDSERVER")
    node.start()
    assert node.cli("send", _peer(node.address), tmp_path / "whole.dcm").exit_code == 0
    return node


def _keys(source: pydicom.Dataset, *keywords: str) -> list[str]:
    return [word for keyword in keywords for word in ("-k", f"{keyword}={source[keyword].value}")]


@pytest.mark.parametrize("above", [(), ("StudyInstanceUID", "SeriesInstanceUID")])
def test_get(node: Node, source: pydicom.Dataset, tmp_path: Path, above: tuple) -> None:
    keys = _keys(source, *above, "SOPInstanceUID")
    completed = node.cli("get", _peer(node.address), tmp_path / "got", *keys, "--frames", "2,5-", "--json")
    assert completed.exit_code == 0, completed.output
    outcome = json.loads(completed.output)
    assert (outcome["completed"], outcome["failed"]) == (1, 0)
    [path] = (tmp_path / "got").iterdir()
    made = pydicom.dcmread(path)
    assert path.stem == made.SOPInstanceUID != source.SOPInstanceUID
    assert made.FrameExtractionSequence[0].MultiFrameSourceSOPInstanceUID == source.SOPInstanceUID
    assert np.array_equal(made.pixel_array, PIXELS[[1, 4, 5, 6, 7]])


def test_move(node: Node, source: pydicom.Dataset, dcmtk) -> None:
    storescp = dcmtk.start_storescp("WORKSTATION")
    node.add_remote(storescp.address)
    keys = _keys(source, "SOPInstanceUID")
    completed = node.cli("move", _peer(node.address), "--to", "WORKSTATION", *keys, "--frames", "3,4")
    assert completed.exit_code == 0, completed.output
    assert "sent 1 instance to WORKSTATION" in completed.output
    [made] = storescp.datasets().values()
    assert np.array_equal(made.pixel_array, PIXELS[2:4])


def test_what_the_remote_ae_refuses_is_told(node: Node, source: pydicom.Dataset, tmp_path: Path) -> None:
    keys = _keys(source, "SOPInstanceUID")
    completed = node.cli("get", _peer(node.address), tmp_path / "got", *keys, "--frames", "20-30")
    assert completed.exit_code != 0
    assert "0xAA00 none of the frames requested were found in the SOP instance" in completed.output


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-k", "StudyInstanceUID=1.2", "--frames", "1"], "frames of which image?"),
        (["-k", "SOPInstanceUID=1.2\\1.3", "--frames", "1"], "frames of which image?"),
        (["-k", "SOPInstanceUID=1.2", "--model", "color-palette", "--frames", "1"], "frames of which image?"),
        (["-k", "SOPInstanceUID=1.2", "--frames", "3-1"], "--frames"),
        (["-k", "SOPInstanceUID=1.2", "--frames", "one"], "--frames: 'one' is not like 1,5-9,20-"),
    ],
)
def test_wrong_usage(make_node, tmp_path: Path, arguments: list[str], problem: str) -> None:
    node = make_node()
    for command in (["get", "PEER@127.0.0.1:1", tmp_path / "got"], ["move", "PEER@127.0.0.1:1", "--to", "OTHER"]):
        completed = node.cli(*command, *arguments)
        assert completed.exit_code == 2, completed.output
        assert problem in completed.output


def test_frames_come_as_they_are_stored(node: Node, tmp_path: Path) -> None:
    """The SOP class is looked up before, so that every transfer syntax of it can be proposed."""
    loop = Path(get_testdata_file("examples_ybr_color.dcm"))
    assert node.cli("send", _peer(node.address), loop).exit_code == 0
    whole = pydicom.dcmread(loop)
    completed = node.cli(
        "get", _peer(node.address), tmp_path / "got", "-k", f"SOPInstanceUID={whole.SOPInstanceUID}", "--frames", "30"
    )
    assert completed.exit_code == 0, completed.output
    [path] = (tmp_path / "got").iterdir()
    made = pydicom.dcmread(path)
    assert made.file_meta.TransferSyntaxUID == whole.file_meta.TransferSyntaxUID
    [frame] = generate_frames(made.PixelData, number_of_frames=1)
    assert frame == list(generate_frames(whole.PixelData, number_of_frames=30))[29]


def test_from_an_ae_that_cannot_be_queried(make_node, source: pydicom.Dataset, tmp_path: Path) -> None:
    """All SOP classes are proposed then, on several associations."""
    node = make_node()
    node.add_remote("MEDSERVER", allow=("store", "get"))
    node.start()
    assert node.cli("send", _peer(node.address), tmp_path / "whole.dcm").exit_code == 0
    keys = _keys(source, "SOPInstanceUID")
    completed = node.cli("get", _peer(node.address), tmp_path / "got", *keys, "--frames", "2-3")
    assert completed.exit_code == 0, completed.output
    [path] = (tmp_path / "got").iterdir()
    assert np.array_equal(pydicom.dcmread(path).pixel_array, PIXELS[1:3])
