"""A node on a fresh index and volume, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from medserver import archive
from medserver.config import ConfigFile
from medserver.node import Node, open_node
from medserver.volumes import add
from tests.codec_workers import with_shared_workers
from tests.peers.files import Sample

NodeOpener = Callable[..., Node]


@contextmanager
def opening(directory: Path) -> Iterator[NodeOpener]:
    """Give a function that opens the node of a directory; again and again it is the same index and volume."""
    with ExitStack() as stack:
        (directory / "config.ini").write_text("[node]\n")

        def opened(*overrides: str, **arguments: object) -> Node:
            config_file = ConfigFile(directory / "config.ini", (f"node.data={directory / 'data'}", *overrides))
            (directory / "data").mkdir(exist_ok=True)
            node = with_shared_workers(open_node(config_file, **arguments))
            stack.callback(node.close)
            return node

        yield opened


@pytest.fixture
def open_archive(tmp_path: Path) -> Iterator[NodeOpener]:
    """Give a function that opens the node of this test."""
    with opening(tmp_path) as opened:
        yield opened


@pytest.fixture
def node(open_archive: NodeOpener) -> Node:
    return open_archive()


def add_volumes(node: Node, *names: str) -> None:
    """Make volumes of a node that were not there when its archive was new."""
    for name in names:
        add(node.index, node.volumes[name])
    assert node.watch.look() == {}


def receive(
    node: Node, sample: Sample, data_set: bytes | None = None, *, fragment_size: int = 16_000, **changes
) -> str:
    """Receive a file as a C-STORE would; return the outcome."""
    announced = {
        "sop_class_uid": sample.sop_class_uid,
        "sop_instance_uid": sample.sop_instance_uid,
        "transfer_syntax_uid": sample.transfer_syntax_uid,
        "calling_ae_title": "CT1",
    }
    data_set = sample.data_set() if data_set is None else data_set
    with archive.receive(node, **(announced | changes)) as reception:
        for start in range(0, len(data_set), fragment_size):
            reception.write(data_set[start : start + fragment_size])
        return reception.commit()


def stored_paths(node: Node) -> list[str]:
    """Return the paths of all objects in the volumes."""
    return [path for volume in node.volumes.values() for path in volume.walk()]


def unfinished(node: Node) -> list[Path]:
    """Return the temporary files of the primary volume."""
    return list((Path(node.primary_volume.root) / "incoming").rglob("*.part"))
