"""The whole way: a node receives, sends on to peers, and deletes by rules; by the command, by its workers, killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.crash import VARIABLE
from medserver.index import JobFilter
from medserver.node import open_node
from medserver.safekeeping.deletion import DELETE
from tests.delivery.outbox import PATIENCE_S, outbox, send, wait_for, wait_until_empty
from tests.peers import Address
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import Sample, make_series
from tests.peers.node import REPOSITORY, Node
from tests.peers.process import Server, run, wait_until

RULE = {"age": "0 s", "after": "delivered", "to": "ARCHIVE", "last_copy": "delete"}
POINTS = ("rows deleted", "tombstones written", "file deleted")

Start = Callable[..., Node]


@pytest.fixture
def start(make_node: Callable[..., Node]) -> Start:
    """Give a function that starts a node which sends everything to an AE, and has a rule."""

    def started(destination: Address, options: dict[str, object] | None = None, **rule: str) -> Node:
        node = make_node(options=options or {})
        must_commit = "yes" if rule.get("after") == "committed" else "no"
        node.add_remote(destination, allow=("commit",), options={"must_commit": must_commit})
        node.set_section("route all", {"to": destination.ae_title})
        node.set_section("retention r", RULE | rule)
        return node.start()

    return started


def shown(node: Node) -> dict:
    [one] = json.loads(node.cli("retention", "show", "--json").check().output)
    return one


def counted(node: Node) -> int:
    return json.loads(node.cli("index", "counts", "--json").check().output)["instances"]


def wait_until_gone(node: Node) -> None:
    wait_until(lambda: counted(node) == 0, deadline_s=PATIENCE_S, what="the deletion")


def test_what_a_storescp_has_is_deleted(start: Start, dcmtk: Dcmtk, series: list[Sample]) -> None:
    storescp = dcmtk.start_storescp("ARCHIVE")
    node = start(storescp.address)
    send(dcmtk, node, series)
    wait_for(storescp, series)
    wait_until_empty(node)
    assert (shown(node)["studies"], shown(node)["instances"], shown(node)["dry_run"]) == (1, 3, True)
    for arguments in (("show",), ("run",), ("run", "r")):
        said = node.cli("retention", *arguments).check().output
        assert "1 study would be deleted" in said
    assert "not done, it is a dry run" in node.cli("retention", "run", "--really").check().output
    assert counted(node) == 3
    assert "1 study will be deleted" in node.cli("retention", "run", "r", "--really").check().output
    wait_until_gone(node)
    study = dcmtk.find(node.address, "STUDY", {"StudyInstanceUID": ""})
    assert not study.identifiers
    assert len(storescp.files()) == len(series)
    send(dcmtk, node, series)  # who sends it again stores it anew
    wait_until(lambda: counted(node) == len(series), what="what was sent again")


def test_who_has_not_taken_it_keeps_it_here(start: Start, dcmtk: Dcmtk, series: list[Sample]) -> None:
    node = start(Address("ARCHIVE", 1))
    send(dcmtk, node, series)
    assert shown(node)["kept"] == {"not delivered to ARCHIVE": 1}
    assert "0 studies will be deleted" in node.cli("retention", "run", "r", "--really").check().output
    assert counted(node) == 3


def test_who_has_not_committed_to_it_keeps_it_here(
    start: Start, make_node: Callable[..., Node], dcmtk: Dcmtk, series: list[Sample]
) -> None:
    """First a storescp, which cannot commit, then an archive that can."""
    archive = make_node(ae_title="ARCHIVE", options={"node.processes": 1})
    archive.add_remote("MEDSERVER")
    archive.start()
    storescp = dcmtk.start_storescp("ARCHIVE")
    node = start(storescp.address, after="committed")
    send(dcmtk, node, series)
    wait_for(storescp, series)
    wait_until(lambda: [one["unconfirmed"] for one in outbox(node)] == [len(series)], what="what is not confirmed")
    assert shown(node)["kept"] == {"not committed to by ARCHIVE": 1}
    node.add_remote(archive.address, allow=("commit",), options={"must_commit": "yes"})
    others = make_series(series[0].path.parent / "others", 2, rows=16, columns=16)
    send(dcmtk, node, others)
    wait_until(lambda: shown(node)["studies"] == 1, deadline_s=PATIENCE_S, what="a commitment")
    node.cli("retention", "run", "r", "--really").check()
    wait_until(lambda: counted(node) == len(series), deadline_s=PATIENCE_S, what="the deletion")


def test_workers_delete_by_themselves(start: Start, dcmtk: Dcmtk, series: list[Sample]) -> None:
    """The first look comes with the first worker; the next one ten minutes later, or when it is asked for."""
    storescp = dcmtk.start_storescp("ARCHIVE")
    node = start(storescp.address, dry_run="no")
    send(dcmtk, node, series)
    wait_for(storescp, series)
    wait_until_empty(node)
    assert "1 study will be deleted" in node.cli("retention", "run", "--really").check().output
    wait_until_gone(node)


def worker(node: Node) -> list:
    return [sys.executable, "-m", "medserver", "--config", node.config, "worker"]


@pytest.mark.parametrize(
    ("database", "point"), [*(("sqlite", point) for point in POINTS), ("postgresql", "rows deleted")]
)
def test_a_killed_worker_leaves_nothing_half(
    request: pytest.FixtureRequest, start: Start, dcmtk: Dcmtk, series: list[Sample], database: str, point: str
) -> None:
    """Slow: a node, a peer and three workers, and the lease of the killed one has to run out."""
    storescp = dcmtk.start_storescp("ARCHIVE")
    url = {"index.url": request.getfixturevalue("new_database")()} if database == "postgresql" else {}
    node = start(storescp.address, {"jobs.workers": 0, "node.processes": 1, **url})
    send(dcmtk, node, series)
    environment = {"PYTHONPATH": str(REPOSITORY)}
    sender = Server(worker(node), log=node.directory / "sender.log", environment=environment)
    wait_for(storescp, series)
    wait_until_empty(node)
    assert sender.stop() == 0
    node.cli("retention", "run", "r", "--really").check()
    assert run(worker(node), environment={VARIABLE: point} | environment).exit_code == -9
    finisher = Server(worker(node), log=node.directory / "finisher.log", environment=environment)
    with closing(open_node(ConfigFile(node.config))) as opened:
        wait_until(lambda: not list(opened.index.jobs.list(JobFilter(DELETE))), deadline_s=60, what="the deletion")
        wait_until(lambda: not list(opened.index.jobs.counts()), deadline_s=60, what="the files")
        assert opened.index.counts().instances == 0
        assert list(Path(opened.primary_volume.root).rglob("*.dcm")) == []
        tombstones = {one.sop_instance_uid for one in opened.index.tombstones.all()}
        assert tombstones == {sample.sop_instance_uid for sample in series}
    assert finisher.stop() == 0
