"""Who is refused, and that nothing on the wire tells why: the answer is that to an unknown AE.

Each case of a wrong certificate is refused, with a reason in the log and in `ae pending`.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.attacks import raw
from tests.certificates import Identity, TestCA
from tests.peers import Address
from tests.peers.node import LOOK_EVERY_S, Node
from tests.peers.process import wait_until
from tests.tls.secure import SecureNode


def connect(address: Address, identity: Identity | None) -> socket.socket:
    """Open a TLS connection, and show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if identity is not None:
        context.load_cert_chain(identity.certificate, identity.key)
    return context.wrap_socket(raw.connect(address))


def answer(sock: socket.socket, address: Address, title: str) -> bytes:
    """Return everything that comes back for a request of an association, to the end of the connection."""
    sock.sendall(raw.associate_request(address, title))
    return raw.receive_until_closed(sock)


def pending(node: Node, title: str) -> list[dict]:
    """Return what `ae pending` says of an AE."""
    callers = json.loads(node.cli("ae", "pending", "--json").output)
    return [caller for caller in callers if caller["calling_ae_title"] == title]


Case = Callable[[SecureNode], tuple[str, Identity | None, str]]


def wrong(secure: SecureNode) -> tuple[str, Identity | None, str]:
    return "ECHOSCU", secure.ca.issue("OTHER"), "none of its entry"


def of_another(secure: SecureNode) -> tuple[str, Identity | None, str]:
    own = secure.ca.issue("CT1")
    secure.allow("CT1", own)
    return "ECHOSCU", own, "none of its entry"


def in_the_clear(secure: SecureNode) -> tuple[str, Identity | None, str]:
    return "ECHOSCU", None, "in the clear, its entry demands TLS"


def expired(secure: SecureNode) -> tuple[str, Identity | None, str]:
    own = secure.ca.expired("CT2")
    secure.allow("CT2", own)
    return "CT2", own, "has expired on"


def not_yet_valid(secure: SecureNode) -> tuple[str, Identity | None, str]:
    now = datetime.now(UTC)
    own = secure.ca.issue("CT3", begins=now + timedelta(days=1), ends=now + timedelta(days=2))
    secure.allow("CT3", own)
    return "CT3", own, "is not valid before"


def self_made(secure: SecureNode) -> tuple[str, Identity | None, str]:
    return "ECHOSCU", self_signed(secure.directory), "which it has signed itself, is none of its entry"


def of_a_foreign_ca(secure: SecureNode) -> tuple[str, Identity | None, str]:
    secure.node.add_remote("CT4", options={"tls": "required", "ca": secure.ca.certificate})
    return "CT4", TestCA(secure.directory, "foreign").issue("CT4"), "of no CA"


def of_another_name(secure: SecureNode) -> tuple[str, Identity | None, str]:
    options = {"tls": "required", "ca": secure.ca.certificate, "certificates": "cn:CT5"}
    secure.node.add_remote("CT5", options=options)
    return "CT5", secure.ca.issue("CT1", "ct1.example"), "in other names than cn:CT5"


def over_tls_unasked(secure: SecureNode) -> tuple[str, Identity | None, str]:
    secure.node.add_remote("CT6")
    return "CT6", secure.client, "tls = no"


CASES = (
    wrong, of_another, in_the_clear, expired, not_yet_valid, self_made, of_a_foreign_ca, of_another_name,
    over_tls_unasked,
)  # fmt: skip


def self_signed(directory: Path) -> Identity:
    """Return a certificate that nobody else has signed."""
    ca = TestCA(directory, "self")
    key = directory / "self.key"
    key.touch(mode=0o600)
    key.write_bytes(ca.private_key)
    return Identity(ca.certificate, key)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_refused(secure: SecureNode, case: Case) -> None:
    title, identity, reason = case(secure)
    address = secure.node.address if identity is None else secure.tls
    sock = raw.connect(address) if identity is None else connect(address, identity)
    unknown = raw.connect(address) if identity is None else connect(address, secure.client)
    got = answer(sock, address, title)
    assert got == answer(unknown, address, "NOBODY") == raw.pdu(raw.ASSOCIATE_RJ, bytes([0, 1, 1, 3]))
    callers = pending(secure.node, title)
    shown = {(caller["certificate"] or {}).get("fingerprint"): caller["reason"] for caller in callers}
    assert reason in shown[identity and identity.fingerprint]
    assert any(f"calling={title} " in line and reason in line for line in secure.node.output.splitlines())


def test_without_a_certificate_there_is_no_association(secure: SecureNode) -> None:
    """The handshake ends: nobody proves anything without one."""
    with pytest.raises(OSError), connect(secure.tls, None) as sock:
        sock.sendall(raw.associate_request(secure.tls, "ECHOSCU"))
        raw.receive_pdu(sock)
    wait_until(lambda: "peer did not return a certificate" in secure.node.output, what="the reason in the log")


def test_a_revoked_certificate(secure: SecureNode) -> None:
    """The list is taken over without a restart."""
    own = secure.ca.issue("CT7")
    secure.allow("CT7", own)
    crl = secure.ca.revoke()
    secure.node.set_section("tls", {"certificate": secure.own.certificate, "key": secure.own.key, "crl": crl})
    with connect(secure.tls, own) as sock:
        sock.sendall(raw.associate_request(secure.tls, "CT7"))
        assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC
    secure.ca.revoke(own, path=crl)
    assert answer(connect(secure.tls, own), secure.tls, "CT7")[0] == raw.ASSOCIATE_RJ
    [caller] = pending(secure.node, "CT7")
    assert caller["reason"] == "its certificate is revoked"


def test_tls_on_the_port_in_the_clear_and_the_reverse(secure: SecureNode) -> None:
    with pytest.raises(OSError):
        connect(secure.node.address, secure.client)
    wait_until(lambda: "called the port of connections in the clear" in secure.node.output, what="the log line")
    assert answer(raw.connect(secure.tls), secure.tls, "ECHOSCU") == b""
    wait_until(lambda: "it does not speak TLS" in secure.node.output, what="the log line")


def test_what_pending_shows_lets_it_in(secure: SecureNode) -> None:
    """An unknown AE gets an entry with its certificate; a known one gets another certificate."""
    first, second = secure.ca.issue("NEW"), secure.ca.issue("NEWER")
    for identity in (first, second):
        assert answer(connect(secure.tls, identity), secure.tls, "NEW1")[0] == raw.ASSOCIATE_RJ
        assert secure.node.cli("ae", "approve", "NEW1").exit_code == 2
        lines = secure.node.cli("ae", "pending").output
        assert f"certificate {identity.fingerprint}" in lines
        approved = secure.node.cli("ae", "approve", "NEW1", "--certificate", identity.fingerprint)
        assert approved.exit_code == 0, approved.output

        def is_let_in(shown: Identity = identity) -> bool:
            with connect(secure.tls, shown) as sock:
                sock.sendall(raw.associate_request(secure.tls, "NEW1"))
                return raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC

        wait_until(is_let_in, what=f"the change to be noticed, within {LOOK_EVERY_S} s")
    assert pending(secure.node, "NEW1") == []
