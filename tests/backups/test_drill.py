"""The restore drill: the primary volume and the index are lost, and everything comes back from the replica."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from medserver.crash import VARIABLE
from tests.backups.conftest import ROWS
from tests.peers.files import make_small
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services.client import Client

KEYS = {"PatientID": "PHANTOM-2"}


@pytest.fixture
def drilled(make_node, tmp_path: Path, database_url: str) -> Node:
    """A node with a replica and with no backups but those that are asked for; not started."""
    return make_node(
        options={
            "index.url": database_url,
            "node.processes": 1,
            "backup.interval": "0",
            "volume main.role": "primary",
            "volume near.path": tmp_path / "near",
            "volume near.role": "replica",
        }
    )


def store(node: Node, made: list) -> None:
    """Send objects and wait until the replica has them."""
    assert Client(node.address).store(*made) == [0] * len(made)
    wait_until(lambda: not waiting(node), what="the copies")


def waiting(node: Node) -> list:
    jobs = json.loads(node.cli("jobs", "--json").stdout)
    return [one for one in jobs if one["kind"] in ("replicate", "repair")]


def served(node: Node, made: list) -> dict[str, bytes]:
    kinds = {(one.sop_class_uid, one.transfer_syntax_uid) for one in made}
    fetched = Client(node.address).get("PATIENT", KEYS, kinds, model="PATIENT")
    return {uid: data_set for uid, (_, data_set) in fetched.received.items()}


def sent(made: list) -> dict[str, bytes]:
    return {one.sop_instance_uid: one.data_set() for one in made}


def lose_index(node: Node) -> None:
    for file in node.data.glob("index.db*"):
        file.unlink()


def lose_primary(node: Node) -> None:
    shutil.rmtree(node.data / "store")


def test_primary_and_index_are_lost_and_come_back(drilled, database_url, tmp_path):
    node = drilled.start()
    first = make_small(tmp_path / "first", 5)
    store(node, first)
    assert node.cli("backup", "create").exit_code == 0
    second = make_small(tmp_path / "second", 6)
    store(node, second)
    refused = node.cli("backup", "restore")
    assert refused.exit_code == 2
    assert "the node is running" in refused.stderr
    node.stop()

    lose_primary(node)
    lose_index(node)  # that on PostgreSQL is kept aside by the restore
    done = node.cli("backup", "restore", "--json")
    assert done.exit_code == 1, done.stderr  # the primary volume is away
    told = json.loads(done.stdout)
    assert (told["before"]["instances"], told["after"]["instances"]) == (5, 11)
    assert [(one["problem"], one["volume"], one["path"]) for one in told["findings"]] == [("unreadable", "main", "")]
    assert (told["kept"] is None) == database_url.startswith("sqlite")

    assert node.cli("store", "replicate", "main", "--anew").exit_code == 0
    node.start()
    assert served(node, first) == sent([*first, *second])
    third = make_small(tmp_path / "third", 3)
    store(node, third)
    wait_until(lambda: not waiting(node), what="the primary volume")
    status = json.loads(node.cli("store", "status", "--json").stdout)
    assert {one["name"]: (one["copies"], one["bad"], one["missing"]) for one in status["volumes"]} == {
        "main": (14, 0, 0), "near": (14, 0, 0),
    }  # fmt: skip
    shutil.rmtree(tmp_path / "near")  # and now the primary has everything alone
    assert served(node, first) == sent([*first, *second, *third])
    node.stop()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_index_is_gone_and_comes_back_from_the_replica_alone(drilled, tmp_path):
    node = drilled.start()
    made = make_small(tmp_path / "made", 7)
    store(node, made)
    node.stop()
    before = rows(node)
    lose_primary(node)
    lose_index(node)
    done = node.cli("index", "rebuild")
    assert (done.exit_code, "main is away" in done.stdout) == (1, True), done.stdout + done.stderr
    after = rows(node)
    assert [one for one in before["locations"] if one[0] == "near"] == after["locations"]
    assert {name: found for name, found in after.items() if name != "locations"} == {
        name: found for name, found in before.items() if name != "locations"
    }
    assert node.cli("store", "replicate", "main", "--anew").exit_code == 0
    node.start()
    assert served(node, made) == sent(made)
    node.stop()


def rows(node: Node) -> dict[str, list[tuple]]:
    """Return what the index of a node that is stopped holds, through another library."""
    connection = sqlite3.connect(node.data / "index.db")
    try:
        return {name: sorted(connection.execute(statement).fetchall()) for name, statement in ROWS.items()}
    finally:
        connection.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("point", "count"), [("index dumped", 1), ("backup written", 1), ("backup complete", 2)]
)
def test_a_kill_in_the_midst_leaves_no_half_backup(drilled, tmp_path, point, count):
    node = drilled.start()
    made = make_small(tmp_path / "made", 3)
    store(node, made)
    node.stop()
    assert node.cli("backup", "create").exit_code == 0
    assert node.forked("backup", "create", environment={VARIABLE: point}).exit_code == -signal.SIGKILL
    listed = json.loads(node.cli("backup", "list", "--json").stdout)
    assert len(listed) == count
    assert node.cli("backup", "verify", "all").exit_code == 0
    assert node.cli("backup", "create").exit_code == 0
    assert not list((node.data / "unfinished").rglob("*.part"))
    assert len(json.loads(node.cli("backup", "list", "--json").stdout)) == count + 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_the_commands_say(drilled, tmp_path):
    node = drilled.start()
    assert node.cli("backup", "list").stdout == "no backups\n"
    nothing = node.cli("backup", "restore")
    assert nothing.exit_code == 2
    store(node, make_small(tmp_path / "made", 2))
    node.stop()
    assert node.cli("backup", "restore").stderr == "medserver: there is no backup\n"
    made = node.cli("backup", "create")
    assert made.stdout.endswith(", verified\n")
    name = made.stdout.split()[0]
    assert node.cli("backup", "verify", name).stdout == f"{name} on near is good\n"
    header, row = node.cli("backup", "list").stdout.splitlines()
    assert header.split() == ["NAME", "VOLUME", "MADE", "DATABASE", "INSTANCES", "SIZE"]
    assert row.split()[:2] == [name, "near"]
    [dump] = (tmp_path / "near" / "backups").glob("*.gz")
    dump.write_bytes(dump.read_bytes()[:-1])
    for arguments in (("verify",), ("restore", name)):
        refused = node.cli("backup", *arguments)
        assert refused.exit_code != 0
        assert refused.stderr == (
            f"medserver: backup {name} on volume near is damaged: it is not what was written\n"
        )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_backups_for_a_volume_that_is_not_there_are_a_mistake(drilled):
    wrong = drilled.cli("--set", "backup.volume=naer", "config", "check")
    assert wrong.exit_code == 78
    assert "[backup] volume: no volume 'naer' (did you mean 'near'?)" in wrong.stderr
