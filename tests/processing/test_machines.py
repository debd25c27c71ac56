"""Two machines share the items: one that is cut off while it computes is replaced, and does no harm when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.node import open_node
from tests.archive.conftest import add_volumes
from tests.crash.power.archive import read_object
from tests.index.cluster import Cluster, find_programs
from tests.peers import Address, requires
from tests.peers.machines import NETWORK, Machine, NotPermitted, machines
from tests.peers.ports import free_port
from tests.peers.preloaded import PreloadedServer
from tests.peers.process import wait_until
from tests.processing import items
from tests.processing.campaign import Host

SLICES = 60
PATIENCE_S = 40.0


@pytest.fixture
def two() -> Iterator[list[Machine]]:
    """Give two machines."""
    requires("postgresql")
    with ExitStack() as stack:
        try:
            made = stack.enter_context(machines(2))
        except NotPermitted as error:
            pytest.skip(f"no two machines: {error}")
        yield made


@pytest.fixture
def index_url(two: list[Machine]) -> Iterator[str]:
    """Give a database that both reach over their networks."""
    programs = find_programs()
    assert programs is not None
    cluster = Cluster(programs)
    cluster.listen(two[0].here, free_port(), NETWORK)
    cluster.start()
    yield cluster.new_database()
    cluster.remove()


def test_a_machine_that_is_cut_off_is_replaced(two: list[Machine], index_url: str, tmp_path: Path) -> None:
    """Slow: a lease has to run out."""
    (tmp_path / "near").mkdir()
    places = (("first", two[0], tmp_path / "second"), ("second", two[1], tmp_path / "first"))
    first, second = (Host(tmp_path / name, name, index_url, tmp_path / "near", *where) for name, *where in places)
    for host in (first, second):
        host.node.add_remote(Address("DEST", free_port()))
    with ExitStack() as stack:
        node = stack.enter_context(closing(open_node(ConfigFile(first.node.config))))
        items.store_series(node, tmp_path / "made", SLICES)
        items.watch(node, "DEST")
        with closing(open_node(ConfigFile(second.node.config))) as other:
            add_volumes(other, "second")  # it comes to an archive that is there
        items.request(node, items.instances(SLICES), ("DEST",))
        worker = _started(stack, first)
        wait_until(lambda: items.outputs_of(node), deadline_s=PATIENCE_S, what="an output")
        two[0].plug(False)
        assert items.row_of(node).state == "IN PROGRESS"
        before = items.outputs_of(node)
        replacement = _started(stack, second)
        # Nobody can tell whether the first is dead: its lease has to run out.
        wait_until(lambda: items.row_of(node).state == "COMPLETED", deadline_s=PATIENCE_S, what="another machine")
        after = items.check_completed(node, SLICES)
        assert before.items() <= after.items() and "state=COMPLETED" in replacement.log.read_text()
        two[0].plug(True)
        wait_until(lambda: _has_left(worker), deadline_s=PATIENCE_S, what="who is late to notice")
        assert worker.stop() == 0
        assert items.check_completed(node, SLICES) == after and "state=COMPLETED" not in worker.log.read_text()
        for one in node.index.instances(after).values():
            assert read_object(node, one)


def _started(stack: ExitStack, host: Host) -> PreloadedServer:
    worker = host.start_worker()
    stack.callback(lambda: print(worker.log.read_text()))
    stack.callback(worker.kill)
    return worker


def _has_left(worker: PreloadedServer) -> bool:
    """Tell whether a worker knows that the item is not its own any more."""
    return any(line in worker.log.read_text() for line in ("work item left", "job state=late"))
