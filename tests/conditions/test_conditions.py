"""The conditions are those that the images tell, wherever they stand in them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from medserver.dicom.acquisition import CONDITIONS, conditions_of
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_series
from tests.peers.node import Node


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    return make_node().start()


def conditions(node: Node, uid: str) -> list[dict]:
    return json.loads(node.cli("conditions", uid, "--json").check().output)


def values(series: dict) -> dict[str, list[str]]:
    return {value["keyword"]: value["values"] for value in series["values"]}


def test_every_attribute_of_the_table_is_one_of_the_standard() -> None:
    for modality in CONDITIONS:
        keywords = [row.keyword for row in conditions_of(modality)]
        assert len(keywords) == len(set(keywords)), modality
        for keyword in keywords:
            for part in keyword.split("."):
                assert dictionary_VR(part), keyword


def test_a_ct_image(node: Node, dcmtk: Dcmtk) -> None:
    path = Path(get_testdata_file("CT_small.dcm"))
    dcmtk.store(node.address, path).check()
    original = pydicom.dcmread(path)
    [series] = conditions(node, original.StudyInstanceUID)
    found = values(series)
    assert found["KVP"] == ["120"]
    assert found["Exposure"] == [str(original.Exposure)]
    assert float(found["GantryDetectorTilt"][0]) == 0
    assert {value["keyword"]: value["unit"] for value in series["values"]}["KVP"] == "kV"
    shown = node.cli("conditions", original.SeriesInstanceUID).check().output
    assert "KVP" in shown
    assert "kV" in shown


def test_what_differs_has_all_its_values(node: Node, dcmtk: Dcmtk, tmp_path: Path) -> None:
    series = make_series(tmp_path / "made", 3, rows=16, columns=16)
    for number, sample in enumerate(series):
        dataset = pydicom.dcmread(sample.path)
        dataset.XRayTubeCurrent = 100 + 10 * number
        dataset.save_as(sample.path)
    dcmtk.store(node.address, tmp_path / "made").check()
    [found] = conditions(node, str(dataset.StudyInstanceUID))
    assert sorted(values(found)["XRayTubeCurrent"]) == ["100", "110", "120"]
    assert found["instances"] == 3


def test_enhanced_objects_have_them_in_their_functional_groups(node: Node, dcmtk: Dcmtk, tmp_path: Path) -> None:
    [sample] = make_series(tmp_path / "made", 1, rows=16, columns=16)
    dataset = pydicom.dcmread(sample.path)
    del dataset.KVP
    shared, exposure, frame_one, frame_two = Dataset(), Dataset(), Dataset(), Dataset()
    exposure.KVP, exposure.ExposureTimeInms = 80.0, 500.0
    shared.CTXRayDetailsSequence = [exposure]
    for frame, current in ((frame_one, 200.0), (frame_two, 210.0)):
        details = Dataset()
        details.XRayTubeCurrentInmA = current
        frame.CTExposureSequence = [details]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [frame_one, frame_two]
    dataset.save_as(sample.path)
    dcmtk.store(node.address, sample.path).check()
    [found] = conditions(node, str(dataset.SOPInstanceUID))
    assert [float(value) for value in values(found)["KVP"]] == [80]
    assert [float(value) for value in values(found)["XRayTubeCurrentInmA"]] == [200, 210]


def test_in_sequences_and_for_spreadsheets(node: Node, dcmtk: Dcmtk, tmp_path: Path) -> None:
    [sample] = make_series(tmp_path / "made", 1, rows=16, columns=16)
    dataset = pydicom.dcmread(sample.path)
    dataset.Modality, dataset.ProtocolName = "PT", '=cmd("x")'
    dose = Dataset()
    dose.Radiopharmaceutical, dose.RadionuclideTotalDose = "FDG", "350000000"
    dataset.RadiopharmaceuticalInformationSequence = [dose]
    dataset.save_as(sample.path)
    dcmtk.store(node.address, sample.path).check()
    text = node.cli("conditions", str(dataset.StudyInstanceUID), "--csv").check().output
    rows = {row["condition"]: row for row in csv.DictReader(io.StringIO(text))}
    total = rows["RadiopharmaceuticalInformationSequence.RadionuclideTotalDose"]
    assert (total["value"], total["unit"]) == ("350000000", "Bq")
    assert rows["RadiopharmaceuticalInformationSequence.Radiopharmaceutical"]["value"] == "FDG"
    assert rows["ProtocolName"]["value"] == "'=cmd(\"x\")"


@pytest.mark.parametrize(("uid", "exit_code"), [("1.2.3", 66), ("nonsense", 2)])
def test_what_is_not_there(node: Node, uid: str, exit_code: int) -> None:
    assert node.cli("conditions", uid).exit_code == exit_code
