"""A node for the tests of one file."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.conftest import MakeDirectory
from tests.tls.secure import SecureNode


@pytest.fixture(scope="module")
def secure(make_directory: MakeDirectory) -> Iterator[SecureNode]:
    """Give a running node that listens for TLS."""
    running = SecureNode(make_directory("secure"))
    try:
        running.node.start()
        yield running
    finally:
        sys.stdout.write(running.node.output)
        running.node.kill()
