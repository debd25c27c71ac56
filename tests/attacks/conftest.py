"""A node under siege for all tests of a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from tests.attacks import legitimate
from tests.attacks.siege import Siege
from tests.conftest import MakeDirectory
from tests.peers.node import CLIENTS, Node

OPTIONS = {"limits.acse_timeout_s": 2, "limits.network_timeout_s": 3, "jobs.workers": 0}
"""Short, so that slow peers are given up within a test; no workers, whose threads come and go without any peer."""

SiegeFactory = Callable[..., Siege]


@pytest.fixture(scope="module")
def besiege(make_directory: MakeDirectory) -> Iterator[SiegeFactory]:
    """Give a function that starts a node and besieges it; a second argument prepares the node before it starts."""
    with ExitStack() as stack:

        def start(
            options: Mapping[str, object] | None = None, prepare: Callable[[Node], object] | None = None
        ) -> Siege:
            node = Node(
                make_directory("node"),
                options=OPTIONS | dict(options or {}),
                clients=(*CLIENTS, legitimate.AE_TITLE),
            )
            if prepare is not None:
                prepare(node)
            stack.callback(lambda: sys.stdout.write(node.output[-20_000:]))
            stack.callback(node.kill)
            siege = Siege(node.start())
            stack.callback(siege.close)
            return siege

        yield start


@pytest.fixture(scope="module")
def siege(request: pytest.FixtureRequest, besiege: SiegeFactory) -> Siege:
    """Give the node of the file; its constant NODE_OPTIONS has more options of config.ini."""
    return besiege(getattr(request.module, "NODE_OPTIONS", {}))
