"""A copy counts for `copies_before_success` when it would survive a power cut, whoever wrote it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from medserver.archive.copies import Copy, as_stored
from medserver.archive.fetch import open_object
from medserver.node import Node
from medserver.store import ObjectWriter
from medserver.volumes import add
from tests.archive.conftest import receive
from tests.crash.power.archive import opened, started
from tests.crash.power.recording import Recording
from tests.peers.files import make_small

SEED = 20261129
REPLICA = ("volume near.path=near", "volume near.role=replica")


def test_a_copy_that_another_process_has_just_written(tmp_path: Path) -> None:
    """A worker has written a page of copies and has not flushed them when C-STORE finds one of them."""
    [sample] = make_small(tmp_path / "made")
    with closing(opened(tmp_path, *REPLICA)) as node:
        assert receive(node, sample) == "stored"
        add(node.index, node.volumes["near"])

    def work(recorded: Recording) -> None:
        worker = opened(recorded.folder, *REPLICA)
        [present] = worker.index.locations()
        with worker.volumes["near"].batch() as create:
            _copy(worker, present, create)
            acceptor = opened(recorded.folder, *REPLICA, "store.copies_before_success=2", receives=True)
            assert receive(acceptor, sample) == "same"
            recorded.acknowledge("two copies")
            recorded.die()

    for cut in Recording(tmp_path).run(work).cuts(0, SEED, at_the_end=20):
        with started(cut.folder, *REPLICA) as (node, _):
            [present] = [copy for copy in node.index.locations() if copy.volume == "main"]
            node.volumes["near"].verify(as_stored(present))


def _copy(node: Node, present: Copy, create) -> None:
    source = open_object(node, present)
    with source.data_set as data_set:
        writer: ObjectWriter = create(source.file_meta, source.copy.path)
        writer.write(data_set.read())
        writer.seal(node.clock())
