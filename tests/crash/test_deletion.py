"""Workers are killed while they delete, and the objects are sent again before they are started anew.

Success was answered for what was sent again, so it stays; what was not sent again is gone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from medserver import archive
from medserver.archive.findings import Problem
from medserver.config import ConfigFile
from medserver.crash import VARIABLE
from medserver.dicom.conditions import UIDList
from medserver.node import open_node
from medserver.safekeeping.deletion import order_deletion

from tests.peers.node import REPOSITORY, Node
from tests.peers.process import Server, run, wait_until
from tests.safekeeping.conftest import served
from tests.services.client import Client
from tests.services.corpus import Object, kinds_of, make_study

POINTS = ("rows deleted", "tombstones written", "file deleted")
"""In the order in which a deletion passes them."""


@pytest.fixture
def node(request: pytest.FixtureRequest, make_node: Callable[..., Node]) -> Node:
    """Give a node without workers: those are started, and killed, by the tests."""
    options: dict[str, object] = {"jobs.workers": 0, "node.processes": 1}
    if getattr(request, "param", "sqlite") == "postgresql":
        options["index.url"] = request.getfixturevalue("new_database")()
    return make_node(options=options).start()


@pytest.fixture
def finish(node: Node) -> Iterator[Callable[[], None]]:
    """Give a function that has a worker do all that is left."""
    workers: list[Server] = []

    def perform() -> None:
        worker = Server(_worker(node), log=node.directory / "worker.log", environment={"PYTHONPATH": str(REPOSITORY)})
        workers.append(worker)
        opened = open_node(ConfigFile(node.config))
        try:
            wait_until(lambda: not list(opened.index.jobs.counts()), deadline_s=60, what="the deletion")
        finally:
            opened.close()
        assert worker.stop() == 0

    yield perform
    for worker in workers:
        sys.stdout.write(worker.output)
        worker.kill()


def _worker(node: Node) -> list:
    return [sys.executable, "-m", "medserver", "--config", node.config, "worker"]


def kill_a_worker_at(node: Node, point: str) -> None:
    """Have a worker die at a point."""
    environment = {VARIABLE: point, "PYTHONPATH": str(REPOSITORY)}
    assert run(_worker(node), environment=environment).exit_code == -9


def order(node: Node, *objects: Object) -> None:
    """Order the deletion of objects, as the command does."""
    uids = [one.sop_instance_uid for one in objects]
    opened = open_node(ConfigFile(node.config))
    try:
        ordered = list(opened.index.select([UIDList("SOPInstanceUID", tuple(uids))]))
        assert len(ordered) == len(objects)
        order_deletion(opened, ordered, by="test", reason="a test")
    finally:
        opened.close()


def check(node: Node, client: Client, present: list[Object], gone: list[Object]) -> None:
    """What is present is found and served, what is gone is not; so says an index that is made anew as well."""
    for one in (*present, *gone):
        study = {"StudyInstanceUID": one.dataset.StudyInstanceUID}
        expected = [one.sop_instance_uid] if one in present else []
        assert list(client.get("STUDY", study, kinds_of([one])).received) == expected
        assert len(client.find("STUDY", study).identifiers) == len(expected)
    assert node.stop() == 0
    another = open_node(ConfigFile(node.config, ("index.url=sqlite:///another.db",)))
    try:
        assert {finding.problem for finding in archive.rebuild(another)} <= {Problem.SURPLUS}
        assert set(served(another)) == {one.sop_instance_uid for one in present}
    finally:
        another.close()


@pytest.mark.parametrize("point", POINTS)
def test_sent_again_before_and_after_the_kill(node: Node, finish: Callable[[], None], point: str) -> None:
    client = Client(node.address)
    [before], [after], [deleted] = (make_study(1) for _ in range(3))
    assert client.store(before, after, deleted) == [0, 0, 0]
    order(node, before, after, deleted)
    assert client.store(before) == [0]
    kill_a_worker_at(node, point)
    assert client.store(after) == [0]
    finish()
    check(node, client, [before, after], [deleted])


@pytest.mark.parametrize("node", ["sqlite", "postgresql"], indirect=True)
def test_killed_twice_and_sent_again_between(node: Node, finish: Callable[[], None]) -> None:
    client = Client(node.address)
    [resent], [deleted] = make_study(1), make_study(1)
    assert client.store(resent, deleted) == [0, 0]
    order(node, resent, deleted)
    for point in ("rows deleted", "tombstones written"):
        kill_a_worker_at(node, point)
        assert client.store(resent) == [0]
    finish()
    check(node, client, [resent], [deleted])


_RECEIVE = """
import sys
from pathlib import Path
from medserver import archive
from medserver.config import ConfigFile
from medserver.node import open_node

config, sop_class_uid, sop_instance_uid, transfer_syntax_uid, data_set = sys.argv[1:]
node = open_node(ConfigFile(Path(config)))
with archive.receive(
    node, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid, transfer_syntax_uid=transfer_syntax_uid,
    calling_ae_title="MODALITY",
) as reception:
    reception.take([Path(data_set).read_bytes()])
"""


def receive_and_be_killed(node: Node, one: Object) -> None:
    """Receive an object in a process of the node that dies when the file has its path and no row."""
    data_set = node.directory / "data-set"
    data_set.write_bytes(one.encoded)
    told = (one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid)
    environment = {VARIABLE: "object sealed", "PYTHONPATH": str(REPOSITORY)}
    killed = run([sys.executable, "-c", _RECEIVE, node.config, *told, data_set], environment=environment)
    assert killed.exit_code == -9, killed.output


@pytest.mark.parametrize("node", ["sqlite", "postgresql"], indirect=True)
def test_received_by_a_process_that_was_killed_and_sent_again(node: Node, finish: Callable[[], None]) -> None:
    """The file that it left is one of what was deleted: the next start does not take it in."""
    client = Client(node.address)
    [one] = make_study(1)
    receive_and_be_killed(node, one)
    assert client.store(one) == [0]
    order(node, one)
    finish()
    assert node.stop() == 0
    node.start()
    check(node, Client(node.address), [], [one])
