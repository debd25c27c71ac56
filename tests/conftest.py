"""Fixtures: the peers, and the node as a process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.peers import requires
from tests.peers.dcmtk import Dcmtk
from tests.peers.gdcm import Gdcm
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc

NodeFactory = Callable[..., Node]


@pytest.fixture
def dcmtk(tmp_path: Path) -> Iterator[Dcmtk]:
    """Give the programs of DCMTK; servers started from them end with the test."""
    requires("dcmtk")
    directory = tmp_path / "dcmtk"
    directory.mkdir()
    programs = Dcmtk(directory)
    yield programs
    programs.close()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Give an Orthanc that runs for the tests of one file: what one stores is there for the next."""
    requires("orthanc")
    running = Orthanc(tmp_path_factory.mktemp("orthanc"))
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.server.kill()


@pytest.fixture
def gdcm() -> Gdcm:
    """Give the client of GDCM."""
    requires("gdcm")
    return Gdcm()


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[NodeFactory]:
    """Give a function that makes a `Node`, not started. Its log is shown when the test fails."""
    with ExitStack() as nodes:

        def make(**arguments: object) -> Node:
            directory = tmp_path / f"node-{len(list(tmp_path.glob('node-*')))}"
            directory.mkdir()
            node = Node(directory, **arguments)
            nodes.callback(lambda: sys.stdout.write(node.output))
            nodes.callback(node.kill)
            return node

        yield make


@pytest.fixture
def node(make_node: NodeFactory) -> Node:
    """Give a running node that lets the DCMTK and GDCM programs in."""
    return make_node().start()
