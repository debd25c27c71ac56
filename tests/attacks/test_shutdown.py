"""A node that is asked to stop, while a hundred associations are open."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from tests.attacks import raw
from tests.attacks.test_floods import associate_without_reading
from tests.attacks.test_unread_query import query_for_everything
from tests.memory.operations import fill_index
from tests.peers.node import Node
from tests.services.corpus import make_object

STOP_MAX_S = 5.0
EACH = 25
MATCHES = 20_000
"""More than there is room for on the way to a peer that does not read."""


def _idle(node: Node) -> socket.socket:
    return raw.associate(node.address, "STORESCU")


def _within_a_header(node: Node) -> socket.socket:
    sock = raw.associate(node.address, "DCMSEND")
    sock.sendall(raw.echo_request()[:3])
    return sock


def _within_a_data_set(node: Node) -> socket.socket:
    instance = make_object()
    sock = raw.associate(node.address, "GETSCU", (raw.CT_STORAGE,))
    sock.sendall(raw.message(1, raw.store_command_set(instance.sop_instance_uid)))
    sock.sendall(raw.fragment(1, instance.data_set()))
    return sock


def _without_reading(node: Node) -> socket.socket:
    sock = associate_without_reading(node.address, "FINDSCU", raw.STUDY_ROOT_FIND)
    sock.sendall(query_for_everything())
    return sock


READING: list[Callable[[Node], socket.socket]] = [_idle, _within_a_header, _within_a_data_set]


def test_shutdown_with_100_open_associations(make_node: Callable[..., Node]) -> None:
    """Those who do nothing are ended at once, those who are slow after a while; all know it, and nothing is left."""
    node = make_node()
    fill_index(node, 1, MATCHES)
    node.start()
    with ExitStack() as stack:
        sockets = [stack.enter_context(open_one(node)) for open_one in READING for _ in range(EACH)]
        sockets += [stack.enter_context(raw.connect(node.address)) for _ in range(EACH)]
        for _ in range(EACH):
            stack.enter_context(_without_reading(node))
        began_at = time.monotonic()
        assert node.stop(timeout_s=20) == 0
        took_s = time.monotonic() - began_at
        print(f"stopped in {took_s:.1f} s")
        assert took_s < STOP_MAX_S
        for sock in sockets:
            assert _has_ended(sock)
    assert "Traceback" not in node.output
    assert "killed" not in node.output
    assert list(node.data.glob("*/incoming/**/*.part")) == []


def _has_ended(sock: socket.socket) -> bool:
    """Tell whether the connection has an end, behind whatever is still on its way."""
    with suppress(ConnectionError):
        while sock.recv(65_536):
            pass
    return True
