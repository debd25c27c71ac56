"""``medserver workitem``: the same at the own index and over the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import MakeDirectory
from tests.peers.command_line import Invoked
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.peers.watcher import Watcher
from tests.workitems.peer import associated, done

MINE = "1.2.3.99"
Run = Callable[..., Invoked]


@pytest.fixture(scope="module")
def watcher() -> Iterator[Watcher]:
    with Watcher("WATCHER") as one:
        yield one


@pytest.fixture(scope="module")
def node(make_directory: MakeDirectory, watcher: Watcher) -> Iterator[Node]:
    one = Node(make_directory("node"), clients=("REQUESTER", "AI1"))
    one.add_remote(watcher.address, allow=("echo",))
    one.start()
    yield one
    one.kill()


@pytest.fixture(params=["here", "there"])
def run(request: pytest.FixtureRequest, node: Node) -> Run:
    """Give a function that calls ``medserver workitem``."""
    address = node.address
    at = ["--at", f"{address.ae_title}@{address.host}:{address.port}", "-aet", "REQUESTER"]
    return lambda name, *rest: node.cli("workitem", name, *rest, *(at if request.param == "there" else []))


def test_an_item_is_created_listed_shown_and_cancelled(run: Run) -> None:
    uid = run("create", "--label", "Find nodules", "--type", "nodules,99OTHER,Find nodules", "--priority", "HIGH",
              "--patient", "P7", "--study", "1.2.3").check().output.strip()  # fmt: skip
    [listed] = [line for line in run("list", "-k", "PatientID=P7").check().output.splitlines() if uid in line]
    assert listed.split()[:4] == [uid, "SCHEDULED", "HIGH", "nodules,99OTHER"]
    shown = json.loads(run("show", uid).check().output)
    assert shown["00741204"]["Value"] == ["Find nodules"]
    assert shown["00404021"]["Value"][0]["0020000D"]["Value"] == ["1.2.3"]
    assert run("cancel", uid, "--reason", "other patient").check().output == "CANCELED\n"
    assert run("watch", uid).check().output == "CANCELED other patient\n"
    again = run("cancel", uid).check()
    assert "already" in again.output and "CANCELED" in again.output
    states = {one["00080018"]["Value"][0]: one["00741000"]["Value"] for one in json.loads(run("list", "--json").output)}
    assert states[uid] == ["CANCELED"]


def test_attributes_from_a_file(run: Run, node: Node) -> None:
    file = node.directory / "item.json"
    file.write_text(json.dumps({"00741204": {"vr": "LO", "Value": ["From a file"]}}))
    uid = run("create", "--attributes", str(file)).check().output.strip()
    assert json.loads(run("show", uid).check().output)["00741204"]["Value"] == ["From a file"]
    file.write_text("nothing")
    assert run("create", "--attributes", str(file)).exit_code == 2
    assert run("create", "--label", "X", "--type", "code").exit_code == 2


def test_what_is_refused(run: Run) -> None:
    for name in ("show", "cancel", "watch"):
        assert run(name, "1.2.3.4.5").exit_code != 0
    assert run("subscribe", "--receiver", "STRANGER").exit_code != 0
    assert run("create").exit_code != 0  # without a label


def test_who_is_told(run: Run, node: Node, watcher: Watcher) -> None:
    run("subscribe", "--receiver", "WATCHER", "--lock").check()
    assert json.loads(node.cli("workitem", "subscribers", "--json").check().output)[0]["lock"] is True
    uid = run("create", "--label", "Told").check().output.strip()
    wait_until(lambda: watcher.of(uid), what="the event")
    assert watcher.of(uid) == [(1, "SCHEDULED")]
    assert "WATCHER" in node.cli("workitem", "subscribers", uid).check().output
    run("suspend", "--receiver", "WATCHER").check()
    assert "nobody" in node.cli("workitem", "subscribers").check().output
    run("unsubscribe", uid, "--receiver", "WATCHER").check()
    assert "nobody" in node.cli("workitem", "subscribers", uid).check().output
    run("unsubscribe", "--receiver", "WATCHER").check()


def test_an_item_is_watched_to_its_end(run: Run, node: Node) -> None:
    uid = run("create", "--label", "Watched").check().output.strip()
    with associated(node, "AI1") as peer:
        assert peer.change_state(uid, "IN PROGRESS", MINE) == 0x0000
        changes = done()
        changes.TransactionUID = MINE
        assert peer.set(uid, changes).Status == 0x0000
        assert peer.change_state(uid, "COMPLETED", MINE) == 0x0000
    assert run("watch", uid, "--every", "0.1").check().output == "COMPLETED\n"
