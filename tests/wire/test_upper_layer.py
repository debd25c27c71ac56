"""The release of an association from our side: agreed to, crossed by the release of the peer, not answered."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from medserver.wire.limits import WireLimits
from medserver.wire.state_machine import State
from medserver.wire.transport import PlainTransport
from medserver.wire.upper_layer import UpperLayer
from tests.attacks import raw
from tests.attacks.acceptor import RELEASE_RESPONSE

LIMITS = WireLimits(acse_timeout_s=1.0, network_timeout_s=1.0, connection_timeout_s=5.0)
ABORT = raw.pdu(raw.ABORT, b"\0\0\2\0")

Conversation = Callable[[socket.socket], object]


@contextmanager
def established(is_acceptor: bool, converse: Conversation) -> Iterator[UpperLayer]:
    """Give an upper layer in state 6, whose peer holds a conversation once the release request has come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if is_acceptor:
            peer = socket.create_connection(listener.getsockname())
            upper_layer = UpperLayer(LIMITS, PlainTransport(listener.accept()[0]))
        else:
            upper_layer = UpperLayer(LIMITS)
            upper_layer.connect(*listener.getsockname())
            peer, _ = listener.accept()
    upper_layer.state = State.STA6

    def run() -> None:
        with peer:
            peer.settimeout(raw.TIMEOUT_S)
            assert raw.receive_pdu(peer)[0] == raw.RELEASE_RQ
            converse(peer)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield upper_layer
    finally:
        upper_layer.close()
        thread.join()


def agree(peer: socket.socket) -> None:
    peer.sendall(RELEASE_RESPONSE)


def send_before(peer: socket.socket) -> None:
    """What a peer sends before it has seen the request is dropped (AR-6)."""
    peer.sendall(raw.echo_request() + RELEASE_RESPONSE)


def collide_as_acceptor(peer: socket.socket) -> None:
    """The acceptor has asked too: it waits for the answer of the requestor, and then answers (AR-8, AR-9, AR-3)."""
    peer.sendall(raw.RELEASE_REQUEST)
    assert raw.receive_pdu(peer)[0] == raw.RELEASE_RP
    peer.sendall(RELEASE_RESPONSE)


def collide_as_requestor(peer: socket.socket) -> None:
    """The requestor has asked too: it answers first (AR-8, AR-10, AR-4)."""
    peer.sendall(raw.RELEASE_REQUEST + RELEASE_RESPONSE)
    assert raw.receive_pdu(peer)[0] == raw.RELEASE_RP


@pytest.mark.parametrize("is_acceptor", [False, True])
@pytest.mark.parametrize("converse", [agree, send_before])
def test_release_that_is_agreed_to(is_acceptor: bool, converse: Conversation) -> None:
    with established(is_acceptor, converse) as upper_layer:
        upper_layer.release()
        assert upper_layer.is_released
        assert upper_layer.state is State.STA1


@pytest.mark.parametrize(("is_acceptor", "converse"), [(False, collide_as_acceptor), (True, collide_as_requestor)])
def test_release_that_is_crossed_by_a_release(is_acceptor: bool, converse: Conversation) -> None:
    with established(is_acceptor, converse) as upper_layer:
        upper_layer.release()
        assert upper_layer.is_released
        upper_layer.close()
        assert upper_layer.state is State.STA1


@pytest.mark.parametrize(
    "converse",
    [lambda peer: peer.sendall(ABORT), lambda peer: None, lambda peer: raw.receive_until_closed(peer)],
    ids=["abort", "end", "silence"],
)
@pytest.mark.parametrize("is_acceptor", [False, True])
def test_release_that_is_not_agreed_to(is_acceptor: bool, converse: Conversation) -> None:
    with established(is_acceptor, converse) as upper_layer:
        upper_layer.release()
        assert not upper_layer.is_released
        upper_layer.close()
        assert upper_layer.state is State.STA1
