"""Several workers share the items: one that is lost is replaced, and one that was only stopped does no harm."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.errors import IndexFailure
from medserver.index import Lane, Verdict
from medserver.node import Node as OpenedNode
from medserver.node import open_node
from medserver.workitems import performing
from tests.peers import Address
from tests.peers.node import Node
from tests.peers.ports import free_port
from tests.peers.preloaded import PROGRAM, PreloadedServer
from tests.peers.process import wait_until
from tests.processing import items

SLICES = 60
PATIENCE_S = 20.0
WORKER = ("worker", "--kinds", ",".join(items.KINDS))

Start = Callable[..., PreloadedServer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a function that starts a worker on a configuration."""
    started: list[PreloadedServer] = []

    def begin(config: Path) -> PreloadedServer:
        log = config.with_name(f"worker-{len(started)}.log")
        started.append(PreloadedServer([*PROGRAM, "--config", str(config), *WORKER], log=log, environment=os.environ))
        return started[-1]

    yield begin
    for one in started:
        one.process.send_signal(signal.SIGCONT)
        one.kill()
        print(one.log.read_text())


@pytest.fixture(params=["sqlite", "postgresql"])
def host(request: pytest.FixtureRequest, make_node: Callable[..., Node], tmp_path: Path) -> Node:
    """Give a node, not started, with a series, and one who is told and gets the results."""
    options = {} if request.param == "sqlite" else {"index.url": request.getfixturevalue("new_database")()}
    made = make_node(options=options)
    made.add_remote(Address("DEST", free_port()))
    with closing(open_node(ConfigFile(made.config))) as opened:
        items.store_series(opened, tmp_path / "made", SLICES)
        items.watch(opened, "DEST")
    return made


@pytest.fixture
def node(host: Node) -> Iterator[OpenedNode]:
    """Give the same, opened in this process."""
    with closing(open_node(ConfigFile(host.config))) as opened:
        yield opened


def stopped(worker: PreloadedServer, node: OpenedNode, when: str) -> None:
    """Stop a worker that has come so far with the item, and let its lease run out."""
    reached = {
        "computing": lambda: items.row_of(node).state == "IN PROGRESS",
        "registering": lambda: bool(items.outputs_of(node)),
    }[when]

    def is_stopped() -> bool:
        with closing(node.index.backend.connect(writing=True)) as connection:
            node.index.backend.begin(connection)  # on SQLite nobody else is in a transaction that writes now
            is_reached = reached()
            if is_reached:
                worker.process.send_signal(signal.SIGSTOP)
            node.index.backend.rollback(connection)
        return is_reached

    wait_until(is_stopped, deadline_s=PATIENCE_S, what=when)

    def is_without_lease() -> bool:
        worker.process.send_signal(signal.SIGSTOP)
        try:
            for owner in node.index.jobs.owners():
                node.index.jobs.expire(owner)
            return bool(node.index.jobs.sweep({}))
        except IndexFailure:  # it was stopped in a transaction
            worker.process.send_signal(signal.SIGCONT)
            return False

    wait_until(is_without_lease, deadline_s=PATIENCE_S, what="a lease that runs out")
    assert items.row_of(node).state == "IN PROGRESS"


def has_noticed(worker: PreloadedServer) -> bool:
    """Tell whether a worker knows that the item is not its own any more.

    It sees that of the item; or of its job, if its connection to the database has timed out before it came to that.
    """
    log = worker.log.read_text()
    return "work item left" in log or "state=late" in log


@pytest.mark.parametrize("when", ["computing", "registering"])
def test_a_worker_that_was_stopped_finds_the_item_completed(
    host: Node, node: OpenedNode, start: Start, when: str
) -> None:
    items.request(node, items.instances(SLICES), ("DEST",))
    worker = start(host.config)
    stopped(worker, node, when)
    before = items.outputs_of(node)
    assert bool(before) == (when == "registering")
    items.perform(node)
    after = items.check_completed(node, SLICES)
    assert before.items() <= after.items()
    worker.process.send_signal(signal.SIGCONT)
    wait_until(lambda: has_noticed(worker), deadline_s=PATIENCE_S, what="who is late to notice")
    assert worker.stop() == 0
    assert items.check_completed(node, SLICES) == after
    items.check_store(node)


def test_a_worker_that_was_stopped_does_not_end_what_another_performs(
    host: Node, node: OpenedNode, start: Start
) -> None:
    items.request(node, items.instances(SLICES), ("DEST",))
    worker = start(host.config)
    stopped(worker, node, "computing")
    lease = {"lease_until": node.clock() + timedelta(minutes=5), "limit": 1}
    [job] = node.index.jobs.claim(Lane("process"), owner="other", concurrency=9, destination_concurrency=9, **lease)
    before = performing.start(node, items.UID, "other")
    assert before is not None and before.state == "IN PROGRESS"
    worker.process.send_signal(signal.SIGCONT)
    wait_until(lambda: has_noticed(worker), deadline_s=PATIENCE_S, what="who is late to notice")
    assert items.row_of(node).state == "IN PROGRESS" and items.told(node)["COMPLETED"] == 0
    node.index.jobs.settle([Verdict(job, "released")])
    wait_until(lambda: items.row_of(node).state == "COMPLETED", deadline_s=PATIENCE_S, what="the end")
    assert worker.stop() == 0
    items.check_completed(node, SLICES)
    items.check_store(node)


def test_a_worker_that_is_killed_is_replaced_by_one_of_another_host(
    host: Node, node: OpenedNode, start: Start, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Slow: a lease has to run out."""
    if "sqlite" in request.node.name:
        pytest.skip("one host only")
    folder = tmp_path / "other"
    folder.mkdir()
    store = host.data / "store"
    config = folder / "config.ini"
    text = host.config.read_text().replace(f"data = {host.data}", f"data = {folder / 'data'}")
    config.write_text(text.replace("path = store", f"path = {store}"))
    items.request(node, items.instances(SLICES), ("DEST",))
    first = start(host.config)
    wait_until(lambda: items.outputs_of(node), deadline_s=PATIENCE_S, what="an output")
    os.killpg(first.process.pid, signal.SIGKILL)
    before = items.outputs_of(node)
    assert len(before) < SLICES and items.row_of(node).state == "IN PROGRESS"
    second = start(config)
    wait_until(lambda: items.row_of(node).state == "COMPLETED", deadline_s=PATIENCE_S, what="another host")
    assert second.stop() == 0
    assert before.items() <= items.check_completed(node, SLICES).items()
