"""A peer is killed in the midst of a transfer, as a destination and as an archive that is polled."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

from tests.delivery.outbox import wait_until_empty
from tests.peers import requires
from tests.peers.dcmtk import NO_DELAY, Dcmtk
from tests.peers.dcmtk_servers import QueryRetrieveSCP
from tests.peers.files import Sample, make_series
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc
from tests.peers.process import wait_until

COUNT = 150
PATIENCE_S = 120

Peer = Orthanc | QueryRetrieveSCP


@pytest.fixture
def series(tmp_path: Path) -> list[Sample]:
    return make_series(tmp_path / "made", COUNT, rows=64, columns=64)


@pytest.fixture(params=["orthanc", "dcmqrscp"])
def peer(request: pytest.FixtureRequest, dcmtk: Dcmtk, tmp_path: Path) -> Iterator[Peer]:
    """Give an archive that can be killed."""
    if request.param == "dcmqrscp":
        archive = dcmtk.start_dcmqrscp("OLD")
        yield archive
        archive.server.kill()  # the one that was started last
        return
    requires("orthanc")
    (tmp_path / "orthanc").mkdir()
    running = Orthanc(tmp_path / "orthanc", ae_title="OLD")
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.server.kill()


def uids_at(peer: Peer) -> list[str]:
    """Return the SOP Instance UIDs of what a peer has, each as often as it has it."""
    if isinstance(peer, Orthanc):
        return sorted(peer.instances())
    return sorted(
        str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        for path in peer.files()
        if path.stat().st_size > 64 * 64 * 2  # it may just be written, or have been cut off by the kill
    )


def count_at(peer: Peer) -> int:
    return len(peer.instances()) if isinstance(peer, Orthanc) else len(peer.files())


def test_as_a_destination(make_node: Callable[..., Node], peer: Peer, dcmtk: Dcmtk, series: list[Sample]) -> None:
    node = make_node()
    node.add_remote(peer.address, allow=())
    node.set_section("route all", {"to": "OLD"})
    node.start()
    if isinstance(peer, Orthanc):
        peer.add_remote("medserver", node.address)
    dcmtk.store(node.address, *[sample.path for sample in series], debug=False).check()
    wait_until(lambda: count_at(peer) > 5, deadline_s=PATIENCE_S, what="the first of them")
    peer.restart()
    wait_until_empty(node)
    assert set(uids_at(peer)) == {sample.sop_instance_uid for sample in series}


def test_as_an_archive_that_is_polled(
    make_node: Callable[..., Node], peer: Peer, dcmtk: Dcmtk, series: list[Sample]
) -> None:
    node = make_node()
    node.add_remote(peer.address, allow=("store",))
    dcmtk.store(peer.address, *[sample.path for sample in series], debug=False, environment=NO_DELAY).check()
    node.set_section("poll old", {"source": "OLD", "every": "1 s", "days_back": 36_500})
    node.start()
    if isinstance(peer, Orthanc):
        peer.add_remote("medserver", node.address)

    def count() -> int:
        return json.loads(node.cli("index", "counts", "--json").check().output)["instances"]

    wait_until(lambda: count() > 5, deadline_s=PATIENCE_S, what="the first of them")
    peer.restart()
    if isinstance(peer, Orthanc):
        peer.add_remote("medserver", node.address)  # it has forgotten
    wait_until(lambda: count() == COUNT, deadline_s=PATIENCE_S, what="all of them")
    study = str(pydicom.dcmread(series[0].path, stop_before_pixels=True).StudyInstanceUID)
    keys = {"StudyInstanceUID": study, "NumberOfStudyRelatedInstances": ""}
    [found] = dcmtk.find(node.address, "STUDY", keys).identifiers
    assert found.NumberOfStudyRelatedInstances == COUNT
    assert node.cli("index", "duplicates", "list").output == ""
