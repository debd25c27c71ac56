"""What others have is collected from them: everything, once, and on when it was interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pydicom
import pytest

from tests.peers import Address
from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import QueryRetrieveSCP
from tests.peers.files import Sample, make_series
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port
from tests.peers.process import wait_until
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
    assert "OLD" in node.cli("poll", "list").output


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
    ],
)
def test_mistakes_are_told(make_node: Callable[..., Node], options: dict, problem: str) -> None:
    node = make_node()
    node.add_remote(Address("OLD", 1), allow=())
    node.set_section("poll x", options)
    checked = node.cli("config", "check")
    assert checked.exit_code == 78
    assert problem in checked.output
