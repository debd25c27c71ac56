"""Whether a worker is the only one; that decides whether associations stay open between batches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from medserver.node import Node
from medserver.server.registration import record_of
from medserver.work import alone
from medserver.work.alone import Alone
from tests.peers.node import REPOSITORY
from tests.work.conftest import OpenNode

HOLD = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(descriptor, fcntl.LOCK_SH)
print(flush=True)
input()
"""


@pytest.fixture
def node(sqlite_config: Path, open_here: OpenNode) -> Node:
    return open_here(sqlite_config)


@pytest.fixture
def begun(node: Node) -> Callable[[], Alone]:
    def begin() -> Alone:
        one = Alone(node, record_of(node, "serve").uuid)
        one.begin()
        return one

    return begin


def test_another_process_on_the_same_data_folder(node: Node, begun: Callable[[], Alone]) -> None:
    one = begun()
    assert one.is_so() and one.is_so()
    path = node.config.current.node.data / alone.FILE_NAME
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert not one.is_so() and not one.is_so()  # a look that fails gives nothing up
        holder.kill()
    assert one.is_so()
    one.end()


def test_another_node_on_the_same_index(node: Node, begun: Callable[[], Alone]) -> None:
    one, own = begun(), record_of(node, "serve")
    node.index.nodes.register(own)
    assert one.is_so()
    node.index.nodes.register(replace(own, uuid="another"))
    assert not one.is_so()
    one.end()


def test_before_it_has_begun_nothing_is_known(node: Node) -> None:
    assert not Alone(node, "own").is_so()
