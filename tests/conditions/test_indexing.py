"""The conditions of acquisition are keys of queries, whether the index has them already or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from medserver.conditions.indexing import CONDITIONS
from medserver.dicom.acquisition import ITEM_KEYWORDS, PLAIN_KEYWORDS
from medserver.index import NewJob
from medserver.node import Node as Opened
from medserver.work.runner import Runner
from tests.archive.conftest import NodeOpener, open_archive, receive, stored_paths  # noqa: F401 - a fixture
from tests.clock import Clock
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import Sample, make_series
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services.client import Client

COUNT = 3


def save(sample: Sample, **changes: object) -> Dataset:
    """Change attributes of a file, and return what it holds then."""
    dataset = pydicom.dcmread(sample.path)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(sample.path)
    return dataset


@pytest.fixture
def series(tmp_path: Path) -> list[Sample]:
    """Make a CT series whose tube current differs."""
    samples = make_series(tmp_path / "made", COUNT, rows=16, columns=16)
    for number, sample in enumerate(samples):
        save(sample, KVP="120", XRayTubeCurrent=100 + 10 * number, PixelSpacing=["0.5", "0.75"], FocalSpots=[0.6, 1.2])
    return samples


def keys(dataset: Dataset, *levels: str, **others: str) -> dict[str, str]:
    return {keyword: str(dataset[keyword].value) for keyword in levels} | others


def of_study(dataset: Dataset, **others: str) -> dict[str, str]:
    return keys(dataset, "StudyInstanceUID", **others)


def of_series(dataset: Dataset, **others: str) -> dict[str, str]:
    return keys(dataset, "StudyInstanceUID", "SeriesInstanceUID", SOPInstanceUID="", **others)


@pytest.mark.parametrize("workers", [0, 1], ids=["not in the index", "in the index"])
def test_images_are_found_by_them(
    make_node: Callable[..., Node], dcmtk: Dcmtk, series: list[Sample], workers: int
) -> None:
    node = make_node(options={"jobs.workers": workers}).start()
    dcmtk.store(node.address, *[sample.path for sample in series]).check()
    dataset = pydicom.dcmread(series[0].path)
    if workers:
        wait_until_indexed(node, dataset)
    found = dcmtk.find(node.address, "IMAGE", of_series(dataset, XRayTubeCurrent="110", KVP="", FocalSpots=""))
    [image] = found.identifiers
    assert image.SOPInstanceUID == series[1].sop_instance_uid
    assert (image.KVP, image.XRayTubeCurrent, image.FocalSpots) == (120, 110, [0.6, 1.2])
    found = dcmtk.find(node.address, "IMAGE", of_series(dataset, KVP="120.0", PixelSpacing=""))
    assert [list(one.PixelSpacing) for one in found.identifiers] == [[0.5, 0.75]] * COUNT
    assert dcmtk.find(node.address, "IMAGE", of_series(dataset, KVP="100")).identifiers == ()


def wait_until_found(node: Node, wanted: dict[str, object]) -> None:
    """Wait until one series has these conditions; asked in this process, findscu asks once then."""
    client = Client(node.address)
    wait_until(lambda: client.find("SERIES", wanted).identifiers, what="the conditions in the index")


def wait_until_indexed(node: Node, dataset: Dataset) -> None:
    client = Client(node.address)

    def known() -> bool:
        found = client.find("SERIES", of_study(dataset, SeriesInstanceUID="", XRayTubeCurrent=""))
        return len(found.identifiers[0].XRayTubeCurrent or []) == COUNT

    wait_until(known, what="the conditions in the index")


def test_series_are_found_by_them(make_node: Callable[..., Node], dcmtk: Dcmtk, series: list[Sample]) -> None:
    node = make_node().start()
    dcmtk.store(node.address, *[sample.path for sample in series]).check()
    dataset = pydicom.dcmread(series[0].path)
    wait_until_indexed(node, dataset)
    wanted = {"KVP": "120", "XRayTubeCurrent": "110", "ConvolutionKernel": "", "PixelSpacing": ""}
    [found] = dcmtk.find(node.address, "SERIES", of_study(dataset, SeriesInstanceUID="", **wanted)).identifiers
    assert found.SeriesInstanceUID == dataset.SeriesInstanceUID
    assert found.KVP == 120
    assert sorted(found.XRayTubeCurrent) == [100, 110, 120]
    assert list(found.PixelSpacing) == [0.5, 0.75]
    assert "ConvolutionKernel" in found
    for nothing in ({"KVP": "100"}, {"KVP": "120", "XRayTubeCurrent": "90"}):
        assert dcmtk.find(node.address, "SERIES", of_study(dataset, **nothing)).identifiers == ()
    # One instance has to fulfil all of it.
    save(series[0], KVP="80", XRayTubeCurrent=500, SOPInstanceUID="1.2.3.4.5")
    dcmtk.store(node.address, series[0].path).check()
    wait_until_found(node, of_study(dataset, KVP="80"))
    assert dcmtk.find(node.address, "SERIES", of_study(dataset, KVP="80", XRayTubeCurrent="110")).identifiers == ()


def test_those_in_functional_groups_and_sequences(
    make_node: Callable[..., Node], dcmtk: Dcmtk, series: list[Sample]
) -> None:
    node = make_node().start()
    frames = []
    for current in (200.0, 210.0):
        frame, details = Dataset(), Dataset()
        details.XRayTubeCurrentInmA = current
        frame.CTExposureSequence = [details]
        frames.append(frame)
    dose = Dataset()
    dose.RadionuclideTotalDose, dose.Radiopharmaceutical = "350000000", "FDG"
    dataset = save(
        series[0], PerFrameFunctionalGroupsSequence=frames, RadiopharmaceuticalInformationSequence=[dose]
    )
    dcmtk.store(node.address, series[0].path).check()
    wanted = of_study(dataset, SeriesInstanceUID="", XRayTubeCurrentInmA="210")
    wait_until_found(node, wanted | {"XRayTubeCurrentInmA": 210.0})
    [image] = dcmtk.find(node.address, "IMAGE", of_series(dataset, XRayTubeCurrentInmA="200")).identifiers
    assert list(image.XRayTubeCurrentInmA) == [200, 210]
    assert dcmtk.find(node.address, "IMAGE", of_series(dataset, XRayTubeCurrentInmA="205")).identifiers == ()
    key = "RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose"
    asked = {key: "350000000", "RadiopharmaceuticalInformationSequence[0].Radiopharmaceutical": ""}
    [found] = dcmtk.find(node.address, "SERIES", of_study(dataset, **asked)).identifiers
    [item] = found.RadiopharmaceuticalInformationSequence
    assert (item.RadionuclideTotalDose, item.Radiopharmaceutical) == (350000000, "FDG")
    assert dcmtk.find(node.address, "SERIES", of_study(dataset, **{key: "1"})).identifiers == ()


def index_all(node: Opened, clock: Clock) -> None:
    clock.advance(4)  # nothing has arrived for a while
    node.index.jobs.add([NewJob(CONDITIONS)])
    worker = Runner(node, periodic=())
    while worker.run_due():
        pass


def known(node: Opened, dataset: Dataset) -> list[str]:
    return sorted(one["KVP"] for one in node.index.acquisitions.of_series(dataset.SeriesInstanceUID))


def test_what_is_replaced_is_read_again(open_archive: NodeOpener, series: list[Sample]) -> None:  # noqa: F811
    clock = Clock()
    node = open_archive("store.duplicates=replace", clock=clock)
    receive(node, series[0])
    index_all(node, clock)
    dataset = save(series[0], KVP="100")
    receive(node, series[0])
    assert node.index.acquisitions.of_series(dataset.SeriesInstanceUID) == []
    index_all(node, clock)
    assert known(node, dataset) == ["100"]


def test_what_cannot_be_read_holds_up_nothing(open_archive: NodeOpener, series: list[Sample]) -> None:  # noqa: F811
    clock = Clock()
    node = open_archive(clock=clock)
    receive(node, series[0])
    [path] = stored_paths(node)
    node.primary_volume.delete(path)
    receive(node, series[1])
    index_all(node, clock)
    assert known(node, pydicom.dcmread(series[1].path)) == ["120"]
    assert node.index.acquisitions.unread(10) == []


def test_values_of_the_table_have_no_backslashes_of_their_own() -> None:
    """So that a backslash always stands between two values."""
    keywords = (*PLAIN_KEYWORDS, *(inner for items in ITEM_KEYWORDS.values() for inner in items))
    assert {dictionary_VR(keyword) for keyword in keywords}.isdisjoint({"ST", "LT", "UT", "UR"})


def test_while_instances_arrive_it_waits_but_not_for_ever(
    open_archive: NodeOpener, series: list[Sample]  # noqa: F811
) -> None:
    clock = Clock()
    node = open_archive(clock=clock)
    receive(node, series[0])
    node.index.jobs.add([NewJob(CONDITIONS)])
    Runner(node, periodic=()).run_due()
    assert len(node.index.acquisitions.unread(10)) == 1
    clock.advance(61)
    receive(node, series[1])
    node.index.jobs.add([NewJob(CONDITIONS)])
    Runner(node, periodic=()).run_due()
    assert node.index.acquisitions.unread(10) == []


def test_conditions_without_end_are_not_kept(
    open_archive: NodeOpener, series: list[Sample], caplog: pytest.LogCaptureFixture  # noqa: F811
) -> None:
    """Whatever a peer puts into its functional groups, the index does not grow by megabytes."""
    clock = Clock()
    node = open_archive(clock=clock)
    keywords = [keyword for keyword in sorted(PLAIN_KEYWORDS) if dictionary_VR(keyword) == "FD"][:12]
    frames = []
    for number in range(500):
        details, frame = Dataset(), Dataset()
        for keyword in keywords:
            setattr(details, keyword, number + 1 / 3)
        frame.CTExposureSequence = [details]
        frames.append(frame)
    dataset = save(series[0], PerFrameFunctionalGroupsSequence=frames)
    receive(node, series[0])
    index_all(node, clock)
    assert node.index.acquisitions.unread(10) == []
    assert node.index.acquisitions.of_series(dataset.SeriesInstanceUID) == []
    assert "too long" in caplog.text
