"""Frames of an instance as the input of a work item: what goes in, what the results say of it, what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from scipy import ndimage

from medserver import archive
from medserver.config import ConfigFile
from medserver.dicom.uids import new_uid
from medserver.node import Node, open_node
from medserver.processing.requests import ProcessingRequest, Reference, attribute_list_of, request_of
from medserver.processing.task import perform as compute
from medserver.workitems.content import content_of, first_item, items, tag_of, value
from medserver.workitems.creating import create
from tests.archive.conftest import receive
from tests.peers import command_line
from tests.peers.files import Sample
from tests.processing import items as item
from tests.processing import phantoms
from tests.processing.conftest import WORKITEM, complaints

FRAMES = 6
RUN, ENHANCED, SLICE, REPORT = (f"{phantoms.UID}.{name}" for name in ("1.1", "7.1", "8.1", "9.1"))
RNG = np.random.default_rng(31)
PIXELS = RNG.integers(0, 1024, (FRAMES, 20, 24)).astype(np.uint16)
_DERIVATION = "DerivationImageSequence"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Give a node with a run of an angiography, an enhanced CT, and an image of one frame."""
    folder = tmp_path_factory.mktemp("frames")
    (folder / "config.ini").write_text(f"[node]\ndata = {folder / 'data'}\n")
    (folder / "data").mkdir()
    with closing(open_node(ConfigFile(folder / "config.ini"))) as one:
        for name, made in (("run", phantoms.angiography(PIXELS)), ("enhanced", _enhanced(folder)), ("slice", _slice())):
            store(one, folder / name, made)
        yield one


def _enhanced(folder: Path) -> Dataset:
    inputs = phantoms.write(folder / "slices", phantoms.ct_series(PIXELS, 2.0))
    (folder / "made").mkdir()
    compute("multiframe", os.fspath(inputs), os.fspath(folder / "made"), {}, WORKITEM)
    [made] = phantoms.read(folder / "made")
    made.SOPInstanceUID, made.SeriesInstanceUID, made.file_meta = ENHANCED, f"{phantoms.UID}.7", None
    return made


def _slice() -> Dataset:
    return phantoms.changed(
        phantoms.ct_slice(PIXELS[0]), {"SOPInstanceUID": SLICE, "SeriesInstanceUID": f"{phantoms.UID}.8"}
    )


def store(node: Node, folder: Path, made: Dataset) -> None:
    [path] = phantoms.write(folder, [made]).iterdir()
    receive(node, Sample(path, str(made.SOPClassUID), str(made.SOPInstanceUID), phantoms.EXPLICIT))


def ask(
    node: Node, kind: str, numbers: object, uid: str = RUN, *others: tuple[str, object], **parameters: object
) -> str:
    """Create a work item for frames of an instance, as it comes from anybody; return its UID."""
    references = tuple(Reference(f"{phantoms.UID}.0", "", (("", one),)) for one, _ in ((uid, numbers), *others))
    attributes = attribute_list_of(ProcessingRequest(kind, parameters, references), node.clock())
    for one, (_, named) in zip(items(attributes, "InputInformationSequence"), ((uid, numbers), *others), strict=True):
        if named is not None:
            items(one, "ReferencedSOPSequence")[0][tag_of("ReferencedFrameNumber")] = {"vr": "IS", "Value": named}
    workitem = new_uid()
    create(node, workitem, attributes, "REQUESTER")
    return workitem


def process(node: Node, tmp_path: Path, *asked: object, **parameters: object) -> list[Dataset]:
    """Return what was made, in which dciodvfy finds no error."""
    workitem = ask(node, *asked, **parameters)
    item.perform(node)
    assert item.row_of(node, workitem).state == "COMPLETED", item.reason_of(node, workitem)
    return [read(node, tmp_path, uid) for uid in outputs(node, workitem)]


def outputs(node: Node, workitem: str) -> list[str]:
    content = content_of(item.row_of(node, workitem).content)
    performed = first_item(content, "UnifiedProcedureStepPerformedProcedureSequence")
    information = items(performed, "OutputInformationSequence")
    references = [one for each in information for one in items(each, "ReferencedSOPSequence")]
    return [value(one, "ReferencedSOPInstanceUID") for one in references]


def read(node: Node, tmp_path: Path, uid: str) -> Dataset:
    path = tmp_path / f"{uid}.dcm"
    opened = archive.fetch.open_object(node, node.index.instances([uid])[uid])
    with opened.data_set:
        path.write_bytes(opened.file_meta + opened.data_set.read())
    assert complaints(path) == []
    found = pydicom.dcmread(path)
    assert "FrameExtractionSequence" not in found  # nobody has retrieved it by frames
    return found


def refusal(node: Node, *asked: object, **parameters: object) -> str:
    workitem = ask(node, *asked, **parameters)
    item.perform(node)
    return item.reason_of(node, workitem)


@pytest.mark.parametrize("kind", ["denoise", "copy"])
def test_only_the_frames_that_are_named_are_processed(node: Node, tmp_path: Path, kind: str) -> None:
    [made] = process(node, tmp_path, kind, [2, 5])
    assert made.NumberOfFrames == 2 and made.SOPInstanceUID != RUN
    expected = PIXELS[[1, 4]]
    if kind == "denoise":
        expected = [np.rint(ndimage.gaussian_filter(one.astype("f4"), 1.0, mode="nearest")) for one in expected]
    np.testing.assert_array_equal(made.pixel_array, expected)
    [source] = made.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == RUN and list(source.ReferencedFrameNumber) == [2, 5]


def test_functional_groups_are_those_of_the_frames(node: Node, tmp_path: Path) -> None:
    [made] = process(node, tmp_path, "denoise", [2, 3, 6], ENHANCED)
    whole = read(node, tmp_path, ENHANCED)
    assert made.NumberOfFrames == len(made.PerFrameFunctionalGroupsSequence) == 3
    for group, number in zip(made.PerFrameFunctionalGroupsSequence, (2, 3, 6), strict=True):
        before = whole.PerFrameFunctionalGroupsSequence[number - 1]
        assert group.PlanePositionSequence == before.PlanePositionSequence
        [source] = group.DerivationImageSequence[0].SourceImageSequence
        assert source.ReferencedSOPInstanceUID == ENHANCED and source.ReferencedFrameNumber == number
    [evidence] = made.SourceImageEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert evidence.ReferencedSOPInstanceUID == ENHANCED and "ReferencedFrameNumber" not in evidence


@pytest.mark.parametrize("uid", [RUN, ENHANCED])
def test_a_frame_of_its_own(node: Node, tmp_path: Path, uid: str) -> None:
    [made] = process(node, tmp_path, "capture", [4], uid, window="512,1024")
    [source] = made.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == uid and source.ReferencedFrameNumber == 4
    whole = process(node, tmp_path, "capture", None, uid, window="512,1024")
    np.testing.assert_array_equal(made.pixel_array, whole[3].pixel_array)


def test_pictures_beside_each_other(node: Node, tmp_path: Path) -> None:
    [made] = process(node, tmp_path, "montage", [1, 3], down=1, across=3, size=32)
    [source] = made.SourceImageSequence
    assert list(source.ReferencedFrameNumber) == [1, 3]
    assert made.pixel_array[:, :32].any() and made.pixel_array[:, 32:64].any() and not made.pixel_array[:, 64:].any()


@pytest.mark.parametrize("numbers", [[5, 2, 5], ["2", " 5", "+5"], [2.0, 5]])
def test_a_number_stands_for_its_frame_wherever_it_stands(node: Node, tmp_path: Path, numbers: list) -> None:
    if isinstance(numbers[0], float):
        assert refusal(node, "copy", numbers) == "BAD_PARAMETERS"
        return
    [made] = process(node, tmp_path, "copy", numbers)
    np.testing.assert_array_equal(made.pixel_array, PIXELS[[1, 4]])


def test_what_several_references_name_is_taken_together(node: Node, tmp_path: Path) -> None:
    [made] = process(node, tmp_path, "copy", [2], RUN, (RUN, [5]))
    np.testing.assert_array_equal(made.pixel_array, PIXELS[[1, 4]])
    for asked in (([2], (RUN, None)), (None, (RUN, [2])), ([2], (RUN, None), (RUN, [3])), ([""],), ([None],)):
        [whole] = process(node, tmp_path, "copy", asked[0], RUN, *asked[1:])
        np.testing.assert_array_equal(whole.pixel_array, PIXELS)
        assert "ReferencedFrameNumber" not in whole.SourceImageSequence[0]


def test_all_frames_are_the_instance(node: Node, tmp_path: Path) -> None:
    [made] = process(node, tmp_path, "copy", list(range(1, FRAMES + 1)))
    np.testing.assert_array_equal(made.pixel_array, PIXELS)
    assert "ReferencedFrameNumber" not in made.SourceImageSequence[0]
    [same] = process(node, tmp_path, "copy", None)
    assert same.SOPInstanceUID == made.SOPInstanceUID  # the same request of the same objects


def test_frame_1_of_an_image_of_one_frame_is_all_of_it(node: Node, tmp_path: Path) -> None:
    [made] = process(node, tmp_path, "copy", [1, 1], SLICE)
    assert made.SOPClassUID == phantoms.CT and "ReferencedFrameNumber" not in made.SourceImageSequence[0]
    assert refusal(node, "copy", [2], SLICE) == "110523"


def test_other_frames_are_another_request(node: Node, tmp_path: Path) -> None:
    [one], [other], [again] = (process(node, tmp_path, "copy", numbers) for numbers in ([1, 2], [1, 3], [2, 1]))
    assert one.SOPInstanceUID == again.SOPInstanceUID != other.SOPInstanceUID


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [([1, 7], "110523"), ([4_294_967_296], "110523"), ([0], "BAD_PARAMETERS"), ([-1], "BAD_PARAMETERS"),
     (["x"], "BAD_PARAMETERS"), ([1, 0], "BAD_PARAMETERS"), ([{"a": 1}], "BAD_PARAMETERS"),
     ([10**12], "BAD_PARAMETERS")],
)  # fmt: skip
def test_frames_that_there_cannot_be(node: Node, numbers: list, reason: str) -> None:
    assert refusal(node, "copy", numbers) == reason


@pytest.mark.parametrize("kind", ["subtract", "reformat", "multiframe", "segment"])
def test_a_type_that_takes_whole_instances(node: Node, kind: str) -> None:
    uid = RUN if kind == "subtract" else ENHANCED
    parameters = {"lower": 1} if kind == "segment" else {}
    assert refusal(node, kind, [1, 2], uid, **parameters) == "BAD_PARAMETERS"


def test_frames_that_are_compressed(node: Node, tmp_path: Path) -> None:
    uid = f"{phantoms.UID}.1.99"
    source = phantoms.changed(phantoms.angiography(PIXELS), {"SOPInstanceUID": uid})
    phantoms.readable(source)
    source.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    source.save_as(tmp_path / "compressed.dcm", enforce_file_format=True)
    receive(node, Sample(tmp_path / "compressed.dcm", str(source.SOPClassUID), uid, str(pydicom.uid.RLELossless)))
    [made] = process(node, tmp_path, "copy", [6], uid)
    np.testing.assert_array_equal(made.pixel_array, PIXELS[5])


# The command line


def run(node: Node, *arguments: str) -> command_line.Invoked:
    return command_line.invoke("--config", node.config.path, "processing", "run", *arguments)


def test_what_the_command_asks_for(node: Node) -> None:
    for text, expected in (("2,5-", (2, 5, 6)), ("3", (3,)), ("1-", ()), ("4-99", (4, 5, 6))):
        asked = run(node, "copy", RUN, "--frames", text)
        assert asked.exit_code == 0, asked.output
        [reference] = request_of(content_of(item.row_of(node, asked.output.strip()).content)).inputs
        assert dict(reference.frames).get(RUN, ()) == expected
    item.perform(node)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        ((RUN, "--frames", "7-"), 65, "none of the frames is among the 6 of the instance"),
        ((RUN, "--frames", "0"), 2, "begin at 1"),
        ((RUN, "--frames", "2,2"), 2, "increase"),
        ((RUN, "--frames", "x"), 2, "is not like 1,5-9,20-"),
        ((RUN, ENHANCED, "--frames", "1"), 2, "--frames is for one instance"),
        ((f"{phantoms.UID}.7", "--frames", "1"), 2, "is a study or series"),
        ((SLICE, "--frames", "2"), 65, "none of the frames"),
    ],
)
def test_what_the_command_refuses(node: Node, arguments: tuple[str, ...], exit_code: int, said: str) -> None:
    refused = run(node, "copy", *arguments)
    assert refused.exit_code == exit_code and said in refused.output + refused.stderr


def test_the_command_refuses_frames_for_a_type_of_whole_instances(node: Node) -> None:
    refused = run(node, "reformat", ENHANCED, "--frames", "1-3")
    assert refused.exit_code == run(node, "denoise", RUN, "--set", "sigma=x").exit_code
    assert "reformat takes whole instances, and not 3 of 6 frames" in refused.stderr + refused.output
