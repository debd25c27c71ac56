"""Delivered means committed: what an AE has taken is asked after, and sent again if it is not safe there."""

from __future__ import annotations

import json
from collections.abc import Callable

import pydicom
import pytest

from medserver.delivery.confirming import SEND_AGAIN_S, SENDS_MAX
from medserver.dicom.storage_commitment import Reference
from medserver.index import Job, JobFilter, Lane, NewJob
from medserver.index.commitments.records import NewCommitment
from medserver.node import Node as Opened
from medserver.routing.deliveries import CONFIRM, SENDING_KINDS, Delivery
from tests.archive.conftest import open_archive, receive  # noqa: F401 - a fixture
from tests.delivery.outbox import outbox, send, wait_for, wait_until_empty
from tests.delivery.test_moments import run_all
from tests.clock import Clock
from tests.peers import Address
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import Sample
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc
from tests.peers.process import wait_until

COMMITS = {"must_commit": "yes"}


@pytest.fixture
def start(make_node: Callable[..., Node]) -> Callable[[Address], Node]:
    """Give a function that starts a node which sends everything to an AE that has to commit to it."""

    def started(destination: Address) -> Node:
        node = make_node()
        node.add_remote(destination, allow=("commit",), options=COMMITS)
        node.set_section("route all", {"to": destination.ae_title})
        return node.start()

    return started


def asked(node: Node) -> list[tuple[str, int, int]]:
    """Return state, number of instances and of safe ones of what the node has asked of others."""
    listed = json.loads(node.cli("commit", "--list", "--json").check().output)
    return [(one["state"], one["instances"], one["safe"]) for one in listed if one["role"] == "scu"]


def test_orthanc_reports_on_an_association_of_its_own(
    start: Callable[[Address], Node], orthanc: Orthanc, dcmtk: Dcmtk, series: list[Sample]
) -> None:
    node = start(orthanc.address)
    orthanc.add_remote("medserver", node.address)
    send(dcmtk, node, series)
    orthanc.wait_for_instances(sample.sop_instance_uid for sample in series)
    wait_until_empty(node)
    transactions = asked(node)
    assert {state for state, _, _ in transactions} == {"reported"}
    assert sum(safe for _, _, safe in transactions) == len(series)


def test_who_does_not_commit_has_it_unconfirmed(
    start: Callable[[Address], Node], dcmtk: Dcmtk, series: list[Sample]
) -> None:
    storescp = dcmtk.start_storescp("ARCHIVE")
    node = start(storescp.address)
    send(dcmtk, node, series)
    wait_for(storescp, series)
    wait_until(lambda: [one["unconfirmed"] for one in outbox(node)] == [len(series)], what="what is not confirmed")
    wait_until(lambda: "accepted none" in outbox(node)[0]["reason"], what="the reason")
    [waiting] = outbox(node)
    assert (waiting["waiting"], waiting["given_up"]) == (0, 0)
    assert node.cli("outbox", "--alarm", "0 s").exit_code == 1
    node.add_remote(storescp.address, allow=())  # it need not any more
    node.cli("jobs", "retry", "--kind", "confirm").check()
    wait_until_empty(node)


@pytest.fixture
def archive(make_node: Callable[..., Node]) -> Node:
    """Give a node that commits to what it has."""
    node = make_node(ae_title="ARCHIVE", options={"node.processes": 1})
    node.add_remote("MEDSERVER")
    return node.start()


@pytest.fixture
def opened(open_archive, clock: Clock, dcmtk: Dcmtk) -> Callable[[Address], Opened]:  # noqa: F811
    """Give a function that opens a node which sends all to an AE that has to commit, at whatever address."""
    return lambda address: open_archive(
        f"ae ARCHIVE.address=127.0.0.1:{address.port}", "ae ARCHIVE.must_commit=yes", "route r.to=ARCHIVE", clock=clock
    )


def jobs(node: Opened) -> list[Job]:
    return list(node.index.jobs.list(JobFilter()))


def test_what_is_not_safe_there_is_sent_again(
    opened: Callable[[Address], Opened], archive: Node, dcmtk: Dcmtk, clock: Clock, series: list[Sample]
) -> None:
    storescp = dcmtk.start_storescp("ARCHIVE")
    node = opened(storescp.address)
    receive(node, series[0])
    run_all(node)
    assert [job.kind for job in jobs(node)] == ["confirm"]  # taken, but this one cannot commit
    clock.advance(7)
    node = opened(archive.address)  # it has never seen the instance
    run_all(node)
    [job] = jobs(node)
    assert (job.kind, job.payload["sends"]) == ("deliver", 1)
    clock.advance(SEND_AGAIN_S + 1)
    run_all(node)
    assert jobs(node) == []
    [there] = node.index.delivered.of(series[0].sop_instance_uid)
    assert (there.destination, there.is_committed) == ("ARCHIVE", True)
    uid = series[0].sop_instance_uid
    sent = pydicom.dcmread(series[0].path)
    levels = {keyword: sent[keyword].value for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    found = dcmtk.find(archive.address, "IMAGE", levels)
    assert [one.SOPInstanceUID for one in found.identifiers] == [uid]


def test_who_never_commits_is_given_up_visibly_until_somebody_says_again(
    opened: Callable[[Address], Opened], archive: Node, dcmtk: Dcmtk, clock: Clock, series: list[Sample]
) -> None:
    storescp = dcmtk.start_storescp("ARCHIVE")
    receive(opened(storescp.address), series[0])
    for sends in range(1, SENDS_MAX + 1):
        run_all(opened(storescp.address))  # sent there
        clock.advance(400)
        node = opened(archive.address)  # asked here
        run_all(node)
        [job] = jobs(node)
        assert (job.kind, job.payload["sends"]) == ("deliver" if sends < SENDS_MAX else "confirm", sends)
        clock.advance(SEND_AGAIN_S * 2**sends)
    assert job.state == "dead"
    assert "0x0112" in job.last_error
    node.index.jobs.retry([job.id])
    run_all(node)
    [job] = jobs(node)
    assert (job.kind, job.payload.get("sends", 0)) == ("deliver", 0)
    clock.advance(SEND_AGAIN_S + 1)
    run_all(node)
    assert jobs(node) == []
    assert len(storescp.files()) == 1


def test_who_waits_for_a_report_does_not_hold_up_what_is_to_be_sent(
    opened: Callable[[Address], Opened], archive: Node, clock: Clock, series: list[Sample]
) -> None:
    """After a pause one kind of job tries the destination for all; who only looks for a report does not try it."""
    node = opened(archive.address)
    asked_for = NewCommitment("scu", "1.2.3", "ARCHIVE", "ARCHIVE", (Reference("1.2.5", "1.2.4"),))
    number = node.index.commitments.ask(asked_for)
    waits = Delivery("1.2.4", route="r", commitment=number, looks=9, sends=1)
    node.index.add_jobs([NewJob(CONFIRM, waits, "ARCHIVE")])
    lanes = [Lane(kind, "ARCHIVE") for kind in SENDING_KINDS]
    node.index.jobs.leave_alone(lanes, "nobody answers", lambda failures: clock.after(1))
    clock.advance(2)
    run_all(node)
    receive(node, series[0])
    clock.advance(1)
    run_all(node)
    assert [job.payload["sop_instance_uid"] for job in jobs(node)] == ["1.2.4"]
