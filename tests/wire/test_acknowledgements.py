"""What has been received is acknowledged at once: peers with Nagle's algorithm wait for it with their next piece."""

from __future__ import annotations

import socket
import threading

import pytest

from medserver.dicom import uids
from medserver.scu import verification
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from medserver.wire.negotiation import Support, negotiate
from medserver.wire.requestor import associate
from tests.peers.process import wait_until
from tests.wire.serving import PRINCIPAL, running, success

LIMITS = WireLimits(acse_timeout_s=5.0, network_timeout_s=5.0, dimse_timeout_s=5.0)

EXCHANGES = 20
"""After some exchanges the kernel takes a connection for an interactive one, and delays its acknowledgements."""

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="the platform has no TCP_QUICKACK")


class Observer:
    """Answers a C-ECHO when the requestor waits for the answer."""

    def __init__(self) -> None:
        self.requestor: Association | None = None
        self.acceptor: Association | None = None
        self.established = threading.Event()

    def negotiate(self, request, address, presented):
        support = Support({uids.IMPLICIT_VR_LITTLE_ENDIAN: 0})
        return negotiate(request, "ACCEPTOR", PRINCIPAL, lambda principal, uid: support)

    def serve(self, association):
        self.acceptor = association
        while (message := association.next_message()) is not None:
            self.established.wait(5)
            wait_until_waiting(self.requestor)
            association.send_message(message.context_id, success(message))


def wait_until_waiting(association: Association) -> None:
    """Wait until an association waits for more, and acknowledges at once what comes."""
    sock = association.connection.socket
    wait_until(
        lambda: sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK), what="quick acknowledgements"
    )


def test_both_sides_acknowledge_at_once_whenever_they_wait():
    observer = Observer()
    with running(observer, LIMITS) as address:
        observer.requestor = associate(address, (verification.PROPOSAL,), "REQUESTOR", LIMITS)
        observer.established.set()
        for _ in range(EXCHANGES):
            verification.echo(observer.requestor)
            wait_until_waiting(observer.acceptor)
        observer.requestor.release()
