"""Two hosts on one PostgreSQL, each with a data folder of its own: a restore on one stops the other, which goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from medserver import host
from medserver.backups.catalog import LATEST, find_backup
from medserver.backups.creation import create_backup
from medserver.backups.restoring import restore
from medserver.config import ConfigFile
from medserver.errors import BadUsage, IndexLocked, RemoteError
from medserver.index import NewJob
from medserver.index.database.moments import to_text
from medserver.index.nodes.exclusive import exclusively
from medserver.index.nodes.sight import look_at_nodes
from medserver.node import Node, exclusive_node, open_node
from medserver.server.registration import register
from medserver.services.responses import answer_to
from medserver.wire.command_set import CommandField
from tests.archive.conftest import receive
from tests.peers.command_line import Invoked, invoke
from tests.peers.files import make_small, samples
from tests.peers.node import Node as NodeProcess
from tests.peers.process import wait_until
from tests.services.client import Client
from tests.work.test_workers import Crew


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def write(url: str, tmp_path: Path) -> Callable[..., ConfigFile]:
    """Give a function that writes the configuration of a host."""

    def written(host: str, store: str = "store", **options: object) -> ConfigFile:
        directory = tmp_path / host
        directory.mkdir()
        lines = ["[node]", f"data = {directory / 'data'}", "[index]", f"url = {url}", "[store]"]
        lines += [f"{name} = {value}" for name, value in options.items() if name == "copies_before_success"]
        lines += [f"[volume {options.get('primary', 'main')}]", f"path = {tmp_path / store}", "role = primary"]
        if "replica" in options:
            lines += ["[volume near]", f"path = {tmp_path / str(options['replica'])}", "role = replica"]
        (directory / "config.ini").write_text("\n".join(lines) + "\n")
        return ConfigFile(directory / "config.ini")

    return written


@pytest.fixture
def opened(write: Callable[..., ConfigFile]) -> Iterator[Callable[..., Node]]:
    """Give a function that opens the node of a host."""
    nodes: list[Node] = []

    def open_host(*arguments: str, **options: object) -> Node:
        nodes.append(open_node(write(*arguments, **options)))
        return nodes[-1]

    yield open_host
    for node in nodes:
        node.close()


def folders(tmp_path: Path, *names: str) -> None:
    for name in names:
        (tmp_path / name).mkdir()


def test_a_restore_stops_the_workers_of_other_hosts(write: Callable[..., ConfigFile], tmp_path: Path) -> None:
    ours = write("a")
    with closing(open_node(ours)) as node:
        for sample in make_small(tmp_path / "made", 2):
            receive(node, sample)
        node.index.add_jobs([NewJob("note", {}, "A")])
        create_backup(node, node.primary_volume)
        backup = find_backup(node.volumes.values(), LATEST)
    crew = Crew(write("b").path)
    ended: list[int] = []

    def notes() -> int:
        return crew.path.read_text().count("end note") if crew.path.exists() else 0

    def begin(expected: int) -> Callable[[int], None]:
        """The tables are back, with a job that is due; what the volumes have besides is still to be entered."""
        wait_until(lambda: "a restore of the index runs on" in worker.output, what="a worker that writes nothing")
        ended.append(notes())
        return lambda count: None

    try:
        crew.start()
        [worker] = crew.members
        wait_until(lambda: notes() == 1, what="the job")
        with exclusive_node(ours.current, "restore") as held:
            restore(ours, backup, begin, held=held)
        assert ended == [1]
        wait_until(lambda: notes() == 2, what="the job that the backup had")
        assert worker.process.is_alive()
    finally:
        for member in crew.members:
            member.process.kill()
    with closing(open_node(ours)) as node:
        assert node.index.counts().instances == 2
        roles = [(one.role, one.is_heard(node.clock())) for one in node.index.nodes.list()]
    assert roles == [("worker", True)], "the nodes are those of now, and not those of the backup"


def test_nothing_is_stored_during_a_restore(opened: Callable[..., Node], url: str, tmp_path: Path) -> None:
    node = opened("a")
    first, second = make_small(tmp_path / "made", 2)
    receive(node, first)
    with exclusively(url, tmp_path / "b", "restore"):
        with pytest.raises(IndexLocked) as refused:
            receive(node, second)
        assert answer_to(refused.value, CommandField.C_STORE).code == 0xA700
    assert len(list((tmp_path / "store").rglob("*.dcm"))) == 1, "a file that nobody knows"


def test_a_node_goes_on_after_a_restore_on_another_host(
    make_node: Callable[..., NodeProcess], url: str, tmp_path: Path
) -> None:
    node = make_node(options={"index.url": url}).start()
    client, [sample, other, *_] = Client(node.address), samples()
    assert client.store(other) == [0], "an acceptor has opened the index"

    def is_stored() -> bool:
        try:
            return client.store(sample) == [0]
        except RemoteError:  # the acceptor that is about to end has accepted
            return False

    with exclusively(url, tmp_path / "b", "restore"):
        assert client.store(sample) == [0xA700]
        seen = look_at_nodes(url, node.data)
        assert seen.problem and [one.role for one in seen.nodes] == ["serve"]
    wait_until(is_stored, what="an acceptor that has opened the index anew")
    assert node.stop() == 0


def test_which_hosts_may_come(opened: Callable[..., Node], tmp_path: Path) -> None:
    folders(tmp_path, "store", "other", "near")
    register(opened("a"), "serve")
    with pytest.raises(BadUsage, match="volume main is another one here"):
        register(opened("b", "other"), "serve")
    with pytest.raises(BadUsage, match="copies_before_success = 2"):
        register(opened("c", "other", primary="second"), "serve")
    with pytest.raises(BadUsage, match="volume main is another one here"):
        register(opened("d", "other"), "worker")
    register(opened("e"), "serve")
    register(opened("f"), "worker")


def test_hosts_with_disks_of_their_own_and_a_replica_that_all_reach(
    opened: Callable[..., Node], tmp_path: Path
) -> None:
    folders(tmp_path, "store", "other", "near")
    register(opened("a", primary="first", replica="near", copies_before_success=2), "serve")
    register(opened("b", "other", primary="second", replica="near", copies_before_success=2), "serve")
    with pytest.raises(BadUsage, match="copies_before_success = 2"):
        register(opened("c", "third", primary="third", replica="near"), "serve")


def test_who_is_silent_is_told(opened: Callable[..., Node], url: str, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    first, second = opened("a"), opened("b")
    for node in (first, second):
        register(node, "serve")
    uuid = host.node_uuid(second.config.current.node.data)

    def run(*arguments: str) -> Invoked:
        return invoke("--config", first.config.path, *arguments)

    assert "2 nodes share the index and are heard of" in run("doctor").output
    refused = run("nodes", "forget", uuid)
    assert refused.exit_code == 2 and "runs: stop it before" in refused.stderr
    ago = to_text(first.clock() - timedelta(hours=1))
    connection = first.index.backend.connect(writing=True)
    connection.execute("UPDATE nodes SET heartbeat_at = %s WHERE uuid = %s", (ago, uuid))
    connection.close()
    assert f"({uuid})" in run("doctor").output
    assert "2 nodes share the index, 1 of them not heard of" in run("store", "status").output
    [line] = [line for line in run("nodes", "list").stdout.splitlines() if uuid in line]
    assert "silent" in line and "(this one)" not in line
    assert run("nodes", "forget", uuid).exit_code == 0
    assert uuid not in run("nodes", "list").stdout
