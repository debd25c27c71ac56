"""Every state of a TLS connection, and everything that can happen in it: whoever breaks off costs himself only.

The table of what happens is `TABLE`; each of its cells is a test. After each, nothing is left of the connection, and
the next association is served.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest

from medserver.config import TLSOptions
from medserver.dicom import uids
from medserver.tls.contexts import server_context
from medserver.wire.accepted_association import THREAD_KEPT_S
from medserver.wire.acceptor import Acceptor, bind, listen
from medserver.wire.admission import Admission, AdmissionLimits
from medserver.wire.entrance import Entrance
from medserver.wire.limits import WireLimits
from medserver.wire.negotiation import Support, negotiate
from tests.attacks import raw
from tests.certificates import TestCA
from tests.conftest import MakeDirectory
from tests.peers import Address
from tests.peers.process import wait_until
from tests.wire.serving import PRINCIPAL, success

LATE_S, LONG_S = 1.0, 20.0
"""How long each step may take where the time is to pass, and where it is not."""

TABLE = """
state        garbage  end   reset  late  stop  reload
silent       ends     ends  ends   ends  ends  goes_on
torn_hello   ends     ends  ends   ends  ends  goes_on
half         ends     ends  ends   ends  ends  goes_on
secured      ends     ends  ends   ends  ends  goes_on
torn_request ends     ends  ends   ends  ends  goes_on
established  ends     ends  ends   ends  ends  goes_on
torn_message ends     ends  ends   ends  ends  goes_on
released     ends     ends  ends   ends  ends  ends
"""
"""What becomes of a connection in a state when something happens."""

CELLS = [
    (state, event, outcome)
    for header, *rows in [[line.split() for line in TABLE.strip().splitlines()]]
    for state, *outcomes in rows
    for event, outcome in zip(header[1:], outcomes, strict=True)
]


class Verifying:
    """Answers C-ECHO; gives the thread back while the peer is silent."""

    def negotiate(self, request, address, presented):
        assert presented is not None
        support = Support({uids.IMPLICIT_VR_LITTLE_ENDIAN: 0})
        return negotiate(request, "ACCEPTOR", PRINCIPAL, lambda principal, uid: support)

    def serve(self, association) -> bool:
        while association.message_waiting(THREAD_KEPT_S):
            message = association.next_message()
            if message is None:
                return False
            association.send_message(message.context_id, success(message))
        if association.remaining_s == 0:
            association.abort_as_provider()
            return False
        return True


class Client:
    """The other side: bytes below TLS are in its hands."""

    def __init__(self, ca: TestCA, address: Address) -> None:
        own = ca.issue("CLIENT")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(own.certificate, own.key)
        self.address = address
        self.sock = raw.connect(address)
        self.unsent = b""
        self.received, self.sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.received, self.sent)

    def flush(self) -> None:
        self.sock.sendall(self.sent.read())

    def fill(self) -> None:
        piece = self.sock.recv(65_536)
        if not piece:
            raise ConnectionError("the connection ended")
        self.received.write(piece)

    def hello(self) -> bytes:
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.sent.read()

    def shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                self.fill()
            else:
                self.flush()
                return

    def send(self, content: bytes) -> None:
        self.tls.write(content)
        self.flush()

    def receive_pdu(self) -> int:
        got = bytearray()
        while len(got) < 6 or len(got) < 6 + int.from_bytes(got[2:6], "big"):
            try:
                got += self.tls.read(65_536)
            except ssl.SSLWantReadError:
                self.fill()
        return got[0]


class Served:
    """An acceptor for TLS, and a client of it."""

    def __init__(self, ca: TestCA, timeout_s: float) -> None:
        self.ca = ca
        self.identity = ca.issue("ACCEPTOR")
        self.admission = Admission(AdmissionLimits())
        limits = WireLimits(acse_timeout_s=timeout_s, network_timeout_s=timeout_s, dimse_timeout_s=timeout_s)
        listener = bind("127.0.0.1", 0)
        listen(listener)
        self.address = Address("ACCEPTOR", listener.getsockname()[1])
        entrance = Entrance(listener, lambda: server_context(TLSOptions(self.identity.certificate, self.identity.key)))
        self.acceptor = Acceptor([entrance], "ACCEPTOR", limits, self.admission, Verifying())
        self.acceptor.start()

    def client(self) -> Client:
        return Client(self.ca, self.address)


@pytest.fixture(scope="module")
def ca(make_directory: MakeDirectory) -> TestCA:
    return TestCA(make_directory("ca"))


@pytest.fixture
def served(ca: TestCA, request: pytest.FixtureRequest) -> Iterator[Served]:
    running = Served(ca, LATE_S if request.node.callspec.params["event"] == "late" else LONG_S)
    yield running
    if not running.acceptor.stopping:
        running.acceptor.stop(drain_s=2.0)
    assert running.admission.counts == (0, 0)


# States


def silent(client: Client) -> None:
    """Nothing was sent."""


def torn_hello(client: Client) -> None:
    hello = client.hello()
    client.sock.sendall(hello[:3])
    client.unsent = hello[3:]


def half(client: Client) -> None:
    client.sock.sendall(client.hello())
    client.fill()


def secured(client: Client) -> None:
    client.shake_hands()


def torn_request(client: Client) -> None:
    client.shake_hands()
    client.send(raw.associate_request(client.address, "REQUESTOR")[:20])


def established(client: Client) -> None:
    client.shake_hands()
    client.send(raw.associate_request(client.address, "REQUESTOR"))
    assert client.receive_pdu() == raw.ASSOCIATE_AC


def torn_message(client: Client) -> None:
    established(client)
    client.send(raw.echo_request()[:15])


def released(client: Client) -> None:
    established(client)
    client.send(raw.RELEASE_REQUEST)
    assert client.receive_pdu() == raw.RELEASE_RP


STATES = {one.__name__: one for one in (
    silent, torn_hello, half, secured, torn_request, established, torn_message, released
)}  # fmt: skip


# Events


def garbage(served: Served, client: Client) -> None:
    client.sock.sendall(b"\xff" * 300)


def end(served: Served, client: Client) -> None:
    client.sock.shutdown(socket.SHUT_WR)


def reset(served: Served, client: Client) -> None:
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sock.close()


def late(served: Served, client: Client) -> None:
    """Its time passes."""


def stop(served: Served, client: Client) -> None:
    served.acceptor.stop(drain_s=2.0)


def reload(served: Served, client: Client) -> None:
    served.identity = served.ca.issue("ACCEPTOR2")


EVENTS = {one.__name__: one for one in (garbage, end, reset, late, stop, reload)}


def go_on(state: str, client: Client) -> None:
    """Do what is missing up to an answered C-ECHO, in the state that was reached."""
    order = list(STATES)
    if order.index(state) < order.index("secured"):
        client.sock.sendall(client.unsent)
        client.shake_hands()
    if order.index(state) <= order.index("torn_request"):
        request = raw.associate_request(client.address, "REQUESTOR")
        client.send(request[20:] if state == "torn_request" else request)
        assert client.receive_pdu() == raw.ASSOCIATE_AC
    client.send(raw.echo_request()[15:] if state == "torn_message" else raw.echo_request())
    assert client.receive_pdu() == raw.P_DATA


@pytest.mark.parametrize(("state", "event", "outcome"), CELLS)
def test_every_cell(served: Served, state: str, event: str, outcome: str) -> None:
    client = served.client()
    STATES[state](client)
    EVENTS[event](served, client)
    if outcome == "goes_on":
        go_on(state, client)
        client.sock.close()
    elif event != "reset":
        with suppress(ConnectionError):
            while client.sock.recv(65_536):
                pass
        client.sock.close()
    wait_until(lambda: served.admission.counts == (0, 0), what="the end of the connection")
    if event != "stop":
        assert served.acceptor.alive
        other = served.client()
        established(other)
        other.sock.close()
