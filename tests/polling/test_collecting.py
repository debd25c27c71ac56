"""What others have is collected from them: everything, once, and on when it was interrupted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from datetime import date, timedelta
from pathlib import Path

import pydicom
import pytest
from pynetdicom import evt

from tests.peers import Address
from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import QueryRetrieveSCP
from tests.peers.files import Sample, make_series
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port
from tests.peers.process import wait_until
from tests.polling.source import Source, abort
from tests.services.client import Client

COUNT = 3
TODAY = f"{date.today():%Y%m%d}"


@pytest.fixture
def series(tmp_path: Path) -> list[Sample]:
    return make_series(tmp_path / "made", COUNT, rows=64, columns=64, study_date=TODAY)


def polling(make_node: Callable[..., Node], source: Address, **options: object) -> Node:
    """Return a node that collects from another AE; not started."""
    node = make_node()
    node.add_remote(source, allow=("store",))
    node.set_section("poll there", {"source": source.ae_title} | options)
    return node


def collected(node: Node) -> dict:
    """Collect now, and return what the command says."""
    return json.loads(node.cli("poll", "run", "there", "--json").output)


def held(node: Node, sample: Sample) -> dict[str, bytes]:
    """Return the pixels of what the node has of a study."""
    study = str(pydicom.dcmread(sample.path, stop_before_pixels=True).StudyInstanceUID)
    kinds = [(sample.sop_class_uid, sample.transfer_syntax_uid)]
    got = Client(node.address).get("STUDY", {"StudyInstanceUID": study}, kinds).received
    return {uid: data_set for uid, (_, data_set) in got.items()}


def fill(dcmtk: Dcmtk, series: list[Sample], *remotes: Address) -> QueryRetrieveSCP:
    archive = dcmtk.start_dcmqrscp("OLD", remotes=remotes)
    dcmtk.store(archive.address, *[sample.path for sample in series]).check()
    return archive


def test_a_study_that_sits_in_dcmqrscp_is_collected_on_schedule(
    make_node: Callable[..., Node], dcmtk: Dcmtk, series: list[Sample]
) -> None:
    archive = fill(dcmtk, series)
    node = polling(make_node, archive.address, every="2 s").start()
    wait_until(lambda: len(held(node, series[0])) == COUNT, deadline_s=60, what="the collection")
    assert set(held(node, series[0])) == {sample.sop_instance_uid for sample in series}
    [status] = json.loads(node.cli("poll", "status", "--json").output)
    assert (status["name"], status["problem"]) == ("there", "")
    counts = rf' counts remote=OLD sop_class="CT Image Storage" stored={COUNT}\n'
    wait_until(lambda: re.search(counts, node.output), what="the counts of the association")
    assert "OLD" in node.cli("poll", "list").output


def test_equal_counts_of_other_instances_hide_nothing(
    make_node: Callable[..., Node], dcmtk: Dcmtk, series: list[Sample]
) -> None:
    with Source(sample.path for sample in series[:2]) as source:
        node = polling(make_node, source.address).start()
        dcmtk.store(node.address, series[0].path, series[2].path).check()
        done = collected(node)
    assert (done["instances"], done["missing"], done["fetched"], done["problem"]) == (2, 1, 1, "")
    assert set(held(node, series[0])) == {sample.sop_instance_uid for sample in series}


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_it_is_fetched_once(
    make_node: Callable[..., Node], dcmtk: Dcmtk, series: list[Sample], retrieve: str
) -> None:
    node = make_node(options={"jobs.workers": 0})  # it collects nothing by itself
    archive = fill(dcmtk, series[:2], node.address)
    node.add_remote(archive.address, allow=("store",))
    node.set_section("poll there", {"source": "OLD", "retrieve": retrieve, "every": "1 d", "hours": "0-24"})
    node.start()
    assert collected(node)["fetched"] == 2
    assert len(held(node, series[0])) == 2
    again = collected(node)
    assert (again["missing"], again["fetched"]) == (0, 0)
    dcmtk.store(archive.address, series[2].path).check()
    late = collected(node)
    assert (late["instances"], late["missing"], late["fetched"], late["problem"]) == (3, 1, 1, "")
    assert set(held(node, series[0])) == {sample.sop_instance_uid for sample in series}


@pytest.fixture
def studies(tmp_path: Path) -> list[Sample]:
    """Return an image of each of four studies."""
    return [
        make_series(tmp_path / f"study{number}", 1, rows=16, columns=16, study_date=TODAY)[0] for number in range(4)
    ]


def study_of(sample: Sample) -> str:
    return str(pydicom.dcmread(sample.path, stop_before_pixels=True).StudyInstanceUID)


def refuse(event: evt.Event) -> int:
    return 0xA701


@pytest.mark.parametrize("where", ["on_find", "on_get"])
@pytest.mark.parametrize("misbehave", [abort, refuse])
def test_a_study_that_the_source_cannot_send_costs_that_study(
    make_node: Callable[..., Node], studies: list[Sample], where: str, misbehave: Callable[[evt.Event], int]
) -> None:
    broken = {study_of(sample) for sample in studies[:3]}

    def stumble(event: evt.Event, study: str) -> int:
        return misbehave(event) if study in broken else 0

    with Source((sample.path for sample in studies), **{where: stumble}) as source:
        node = polling(make_node, source.address)
        done = collected(node)
        assert (done["studies"], done["fetched"], done["skipped_count"]) == (4, 1, 3)
        assert set(done["skipped"]) == broken
        assert all(done["skipped"].values())
        [status] = json.loads(node.cli("poll", "status", "--json").output)
        assert (status["failures"], status["skipped_count"]) == (0, 3)
        said = node.cli("poll", "run", "there").output
        assert all(f"skipped study {study}: " in said for study in broken)
        broken.clear()
        again = collected(node)
    assert (again["fetched"], again["skipped_count"], again["problem"]) == (3, 0, "")


def test_the_association_of_the_queries_is_not_open_while_images_are_fetched(
    make_node: Callable[..., Node], studies: list[Sample]
) -> None:
    def release_first(event: evt.Event, study: str) -> int:
        wait_until(lambda: source.associations == 1, deadline_s=10, what="the release of the queries")
        return 0

    with Source((sample.path for sample in studies), on_get=release_first) as source:
        done = collected(polling(make_node, source.address))
    assert (done["fetched"], done["problem"]) == (4, "")


def test_what_was_deleted_does_not_return(make_node: Callable[..., Node], studies: list[Sample]) -> None:
    with Source(sample.path for sample in studies) as source:
        node = polling(make_node, source.address, every="30 d").start()
        wait_until(lambda: collected(node)["missing"] == 0, deadline_s=60, what="the collection")
        node.cli("store", "delete", study_of(studies[0]), "--force").check()
        wait_until(lambda: not held(node, studies[0]), deadline_s=30, what="the deletion")
        done = collected(node)
        assert (done["instances"], done["missing"], done["deleted"], done["problem"]) == (4, 0, 1, "")
        assert "deleted here: 1 instance" in node.cli("poll", "run", "there").output
    assert held(node, studies[0]) == {}


@pytest.mark.parametrize(
    ("name", "character_set"),
    [("Łoś*", "ISO_IR 101"), ("Müller*", "ISO_IR 100"), ("Łoś^Müller^東*", "ISO_IR 192"), ("Los*", None)],
)
def test_keys_travel_in_a_character_set_that_has_them(
    make_node: Callable[..., Node], studies: list[Sample], name: str, character_set: str | None
) -> None:
    with Source(sample.path for sample in studies) as source:
        collected(polling(make_node, source.address, PatientName=name, PatientID="PHANTOM*"))
        asked = source.asked[0]
    assert asked.get("SpecificCharacterSet") == character_set
    assert asked.PatientName == name


def test_studies_with_leading_zeros_in_their_uids_are_collected(
    make_node: Callable[..., Node], tmp_path: Path
) -> None:
    made = make_series(tmp_path / "odd", 1, rows=16, columns=16, study_date=TODAY, study_instance_uid="1.2.03.0004")
    dataset = pydicom.dcmread(made[0].path)
    dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.2.03.0004.05", "1.2.03.0004.05.06"
    dataset.save_as(made[0].path)
    with Source([made[0].path]) as source:
        done = collected(polling(make_node, source.address))
    assert (done["fetched"], done["problem"]) == (1, "")


@pytest.mark.parametrize("code", [0xA700, 0xFE00, 0xC001])
def test_a_source_that_limits_its_answers_is_asked_by_day(
    make_node: Callable[..., Node], studies: list[Sample], code: int
) -> None:
    with Source(sample.path for sample in studies) as source:
        for days, dataset in zip((0, 1, 5, 5), source.datasets, strict=True):
            dataset.StudyDate = f"{date.today() - timedelta(days=days):%Y%m%d}"
        source.limit = (2, code)
        node = polling(make_node, source.address, days_back=30)
        done = collected(node)
        assert (done["studies"], done["fetched"], done["problem"]) == (4, 4, "")
        source.limit = (1, code)
        done = collected(node)
    full = f"{date.today() - timedelta(days=5):%Y%m%d}"
    assert (done["studies"], done["problem"]) == (3, f"days with more studies than are told: {full}")


def test_a_round_number_of_studies_may_be_a_limit(make_node: Callable[..., Node], studies: list[Sample]) -> None:
    with Source([studies[0].path]) as source:
        for number in range(1, 60):
            one = deepcopy(source.datasets[0])
            one.StudyInstanceUID, one.SeriesInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.1"
            one.SOPInstanceUID = f"1.2.3.{number}.1.1"
            one.StudyDate = f"{date.today() - timedelta(days=number % 2):%Y%m%d}"
            source.datasets.append(one)
        source.limit = (50, 0)
        done = collected(polling(make_node, source.address, instances_max=1))
    assert done["studies"] == 60


def test_what_is_collected_is_compressed_as_what_is_sent(
    make_node: Callable[..., Node], dcmtk: Dcmtk, series: list[Sample]
) -> None:
    archive = fill(dcmtk, series)
    node = make_node()
    node.add_remote(archive.address, allow=("store",), options={"ingest_transfer_syntax": "rle"})
    node.set_section("poll there", {"source": "OLD"})
    assert collected(node)["fetched"] == COUNT
    jobs = json.loads(node.cli("jobs", "list", "--kind", "compress", "--json").check().output)
    assert [job["payload"]["to"] for job in jobs] == ["1.2.840.10008.1.2.5"] * COUNT


def test_limits_and_keys(make_node: Callable[..., Node], dcmtk: Dcmtk, series: list[Sample], tmp_path: Path) -> None:
    archive = fill(dcmtk, series)
    others = make_series(tmp_path / "old", 1, rows=16, columns=16, study_date="19990101", patient_id="OLD")
    dcmtk.store(archive.address, others[0].path).check()
    node = polling(make_node, archive.address, every="30 d", hours="0-24", instances_max=2, PatientID="PHANTOM*")
    first = collected(node)
    assert (first["studies"], first["fetched"]) == (1, 2)
    assert "limit" in first["problem"]
    second = collected(node)
    assert (second["missing"], second["fetched"], second["problem"]) == (1, 1, "")
    assert collected(node)["missing"] == 0
    node.set_section("poll there", {"source": "OLD", "days_back": "20000", "PatientID": "OLD"})
    assert collected(node)["fetched"] == 1


def test_who_cannot_be_reached_is_asked_again(
    make_node: Callable[..., Node], dcmtk: Dcmtk, series: list[Sample]
) -> None:
    nobody = Address("OLD", free_port())
    node = polling(make_node, nobody)
    failed = node.cli("poll", "run", "there")
    assert failed.exit_code == 1
    node.cli("poll", "run", "there")
    [status] = json.loads(node.cli("poll", "status", "--json").output)
    assert status["failures"] == 2
    assert status["problem"]
    archive = fill(dcmtk, series)
    node.add_remote(Address("OLD", archive.address.port), allow=())
    assert collected(node)["fetched"] == COUNT
    [status] = json.loads(node.cli("poll", "status", "--json").output)
    assert status["failures"] == 0


def test_from_orthanc(
    make_node: Callable[..., Node], orthanc: Orthanc, dcmtk: Dcmtk, series: list[Sample]
) -> None:
    dcmtk.store(orthanc.address, *[sample.path for sample in series]).check()
    node = polling(make_node, orthanc.address, PatientID="PHANTOM-1")
    orthanc.add_remote("medserver", node.address)
    done = collected(node)
    assert (done["missing"], done["fetched"], done["problem"]) == (COUNT, COUNT, "")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"every": "2 s"}, "source is missing"),
        ({"source": "NOBODY"}, "no [ae NOBODY]"),
        ({"source": "OLD", "hours": "8 to 9"}, "hours"),
        ({"source": "OLD", "hours": "8-8"}, "hours"),
        ({"source": "OLD", "StudyTime": "noon"}, "StudyTime"),
        ({"source": "OLD", "Rows": "512"}, "Rows: no key at STUDY level"),
        ({"source": "OLD", "Modality": "CT"}, "Modality: no key at STUDY level; did you mean ModalitiesInStudy?"),
        ({"source": "OLD", "SamplesPerPixel": "1"}, "SamplesPerPixel: no key of a query: its VR is US"),
        ({"source": "OLD", "ModalitiesInStudy": "ŁT"}, "ModalitiesInStudy: a value of VR CS"),
    ],
)
def test_mistakes_are_told(make_node: Callable[..., Node], options: dict, problem: str) -> None:
    node = make_node()
    node.add_remote(Address("OLD", 1), allow=())
    node.set_section("poll x", options)
    checked = node.cli("config", "check")
    assert checked.exit_code == 78
    assert problem in checked.output
