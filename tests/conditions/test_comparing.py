"""What was performed is compared with what was defined, and with what is usual."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medserver.conditions.constraints import compare
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_series
from tests.peers.node import Node
from tests.peers.process import Completed, wait_until

CT_DEFINED, CT_PERFORMED = "1.2.840.10008.5.1.4.1.1.200.1", "1.2.840.10008.5.1.4.1.1.200.2"

ELEMENTS, DETAILS = 0x00189920, 0x00189325


def item(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def constraint(tag: int, kind: str, *limits: Dataset, pointer: tuple[int, ...] = (ELEMENTS,), items: str = "1",
               number: int = 1, **others: object) -> Dataset:  # fmt: skip
    return item(
        SelectorAttribute=tag, SelectorSequencePointer=list(pointer), SelectorSequencePointerItems=items.split("\\"),
        SelectorValueNumber=number, ConstraintType=kind, ConstraintValueSequence=list(limits), **others,
    )  # fmt: skip


def defined(*constraints: Dataset) -> Dataset:
    specification = item(ProtocolElementNumber=1, ParametersSpecificationSequence=list(constraints))
    return item(SOPClassUID=CT_DEFINED, AcquisitionProtocolElementSpecificationSequence=[specification])


PERFORMED = item(AcquisitionProtocolElementSequence=[
    item(ProtocolElementName="Localizer", TableSpeed=14.0),
    item(ScanOptions=["HELICAL", "FAST"], CTXRayDetailsSequence=[item(KVP="120"), item(KVP="140")]),
])  # fmt: skip
KVP, TABLE_SPEED, NAME, SCAN_OPTIONS = 0x00180060, 0x00189309, 0x00189922, 0x00180022


@pytest.mark.parametrize(
    ("constrained", "performed", "is_fulfilled"),
    [
        # The examples of PS3.3 table C.34.9-2.
        (constraint(NAME, "EQUAL", item(SelectorLOValue="Localizer")), "Localizer", True),
        (constraint(TABLE_SPEED, "EQUAL", item(SelectorFDValue=14.0)), "14.0", True),
        (
            constraint(KVP, "RANGE_INCL", item(SelectorDSValue="120"), item(SelectorDSValue="140"),
                       pointer=(ELEMENTS, DETAILS), items="2\\1"),
            "120", True,
        ),
        (
            constraint(KVP, "RANGE_EXCL", item(SelectorDSValue="130"), item(SelectorDSValue="150"),
                       pointer=(ELEMENTS, DETAILS), items="2\\2"),
            "140", False,
        ),
        (constraint(SCAN_OPTIONS, "EQUAL", item(SelectorCSValue="FAST"), items="2", number=2), "FAST", True),
        (constraint(SCAN_OPTIONS, "NOT_MEMBER_OF", item(SelectorCSValue="FAST"), items="2", number=2), "FAST", False),
        (constraint(TABLE_SPEED, "MEMBER_OF", item(SelectorFDValue=12.0), item(SelectorFDValue=14.0)), "14.0", True),
        (constraint(TABLE_SPEED, "GREATER_THAN", item(SelectorFDValue=14.0)), "14.0", False),
        (constraint(TABLE_SPEED, "GREATER_OR_EQUAL", item(SelectorFDValue=14.0)), "14.0", True),
        (constraint(TABLE_SPEED, "LESS_THAN", item(SelectorFDValue=14.0)), "14.0", False),
        (constraint(TABLE_SPEED, "LESS_OR_EQUAL", item(SelectorFDValue=14.0)), "14.0", True),
        (constraint(TABLE_SPEED, "UNCONSTRAINED"), "14.0", True),
        (constraint(TABLE_SPEED, "MEMBER_OF_CID", item(SelectorUIValue="1.2.3")), "14.0", None),
        # What was not recorded, or makes no sense.
        (constraint(TABLE_SPEED, "EQUAL", item(SelectorFDValue=14.0), items="2"), "", None),
        (constraint(TABLE_SPEED, "EQUAL", item(SelectorFDValue=14.0), items="9"), "", None),
        (constraint(TABLE_SPEED, "RANGE_INCL", item(SelectorFDValue=14.0)), "14.0", None),
        (constraint(NAME, "LESS_THAN", item(SelectorLOValue="x")), "Localizer", None),
        (item(), "", None),
    ],
)  # fmt: skip
def test_every_kind_of_constraint(constrained: Dataset, performed: str, is_fulfilled: bool | None) -> None:
    [found] = compare(defined(constrained), PERFORMED)
    assert (found.performed, found.is_fulfilled) == (performed, is_fulfilled)


def stored(node: Node, dcmtk: Dcmtk, path: Path, dataset: Dataset, sop_class_uid: str) -> str:
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class_uid, generate_uid()
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    dcmtk.store(node.address, path, options=["--required"]).check()
    return dataset.SOPInstanceUID


def comparison(node: Node, *arguments: str) -> tuple[int, dict]:
    completed: Completed = node.cli("conditions", "compare", *arguments, "--json")
    return completed.exit_code, json.loads(completed.output)


def test_a_performed_protocol_against_the_defined_one(
    make_node: Callable[..., Node], dcmtk: Dcmtk, tmp_path: Path
) -> None:
    node = make_node().start()
    protocol = defined(
        constraint(TABLE_SPEED, "LESS_THAN", item(SelectorFDValue=10.0), ConstraintViolationSignificance="MODERATE")
    )
    defined_uid = stored(node, dcmtk, tmp_path / "defined.dcm", protocol, CT_DEFINED)
    performed = item(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.4", PatientID="P", Modality="CTPROTOCOL")
    performed.update(PERFORMED)
    reference = item(ReferencedSOPClassUID=CT_DEFINED, ReferencedSOPInstanceUID=defined_uid)
    other = item(ReferencedSOPClassUID=CT_DEFINED, ReferencedSOPInstanceUID="1.2.3.9")
    performed.ReferencedDefinedProtocolSequence = [reference, other]
    stored(node, dcmtk, tmp_path / "performed.dcm", performed, CT_PERFORMED)
    code, found = comparison(node, "1.2.3")
    assert code == 1
    with_defined, with_unknown = found["protocols"]
    [violated] = with_defined["comparisons"]
    assert violated == {
        "keyword": "AcquisitionProtocolElementSequence[1].TableSpeed", "constraint": "less than 10.0",
        "performed": "14.0", "is_fulfilled": False, "significance": "MODERATE",
    }  # fmt: skip
    assert with_unknown["problem"] == "the defined protocol is not here"
    assert "NOT AS DEFINED" in node.cli("conditions", "compare", "1.2.3").output


def test_series_that_are_unusual_for_their_protocol(
    make_node: Callable[..., Node], dcmtk: Dcmtk, tmp_path: Path
) -> None:
    node = make_node().start()
    studies = []
    for number in range(7):
        [sample] = make_series(tmp_path / f"{number}", 1, rows=16, columns=16)
        dataset = pydicom.dcmread(sample.path)
        is_odd = number == 6
        dataset.ProtocolName, dataset.KVP = "Thorax", "80" if is_odd else "120"
        dataset.XRayTubeCurrent, dataset.ConvolutionKernel = 100 + number, "B70" if is_odd else "B30"
        dataset.save_as(sample.path)
        studies.append(str(dataset.StudyInstanceUID))
        dcmtk.store(node.address, sample.path).check()
    arguments = ("--protocol", "Thorax", "--modality", "CT")
    wait_until(lambda: len(comparison(node, *arguments)[1]["outliers"]) == 2, what="the conditions in the index")
    code, found = comparison(node, *arguments)
    assert code == 1
    outliers = {one["keyword"]: (one["value"], one["usual"], one["unit"], one["series"]) for one in found["outliers"]}
    assert outliers == {"KVP": ("80", "120", "kV", 7), "ConvolutionKernel": ("B70", "B30", "", 7)}
    assert comparison(node, studies[6]) == (1, found)
    assert comparison(node, studies[0]) == (0, {"protocols": [], "outliers": []})
    assert "B70" in node.cli("conditions", "compare", *arguments).output
    assert "no series is unusual" in node.cli("conditions", "compare", studies[0]).output
    assert node.cli("conditions", "compare", "--protocol", "Thorax").exit_code == 2
    unknown = node.cli("conditions", "compare", "--protocol", "Thorx", "--modality", "CT")
    assert (unknown.exit_code, "no series of modality CT with the Protocol Name Thorx" in unknown.output) == (66, True)
    assert node.cli("conditions", "compare").exit_code == 2
