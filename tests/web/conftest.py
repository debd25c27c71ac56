"""A web server in the process of the tests, with the index and store of a node of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from medserver.accounts import managing
from medserver.config import ConfigFile
from medserver.node import Node, open_node
from medserver.web.application import ROOT
from medserver.web.server import WebServer
from tests.conftest import MakeDirectory
from tests.peers.process import wait_until


@dataclass(frozen=True)
class Web:
    """A running server.

    Parameters
    ----------
    node : Node
        What it works with.
    url : str
        That of the service.
    port : int
        Where it listens, on the loopback address.
    tokens : dict of str to str
        A token of each role.
    """

    node: Node
    url: str
    port: int
    tokens: dict[str, str]

    def headers(self, role: str = "operator", **others: str) -> dict[str, str]:
        """Return the header fields of a request of a role."""
        return {"Authorization": f"Bearer {self.tokens[role]}", **others}


@pytest.fixture(scope="module")
def web(make_directory: MakeDirectory) -> Iterator[Web]:
    """Give a running server."""
    folder: Path = make_directory("web")
    (folder / "config.ini").write_text("[node]\nport = 0\n\n[volume main]\npath = store\nfree_min_bytes = 1 MiB\n")
    node = open_node(ConfigFile(folder / "config.ini"), receives=True)
    roles = ("admin", "operator", "reader", "auditor")
    tokens = {role: managing.add_token(node.index, role, [role]) for role in roles}
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = WebServer(node, listening)
    server.start()
    wait_until(lambda: server.is_started, what="the server")
    yield Web(node, f"http://127.0.0.1:{port}{ROOT}", port, tokens)
    server.stop(30)
    listening.close()
    node.close()
