"""Certificates that are replaced, and those that expire, while the node runs."""

from __future__ import annotations

import logging
import shutil
import signal
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.server.expiry_watch import LOOK_EVERY_S, ExpiryWatch
from tests.attacks import raw
from tests.certificates import Identity, TestCA
from tests.clock import Clock
from tests.conftest import MakeDirectory
from tests.peers.process import wait_until
from tests.tls.secure import SecureNode
from tests.tls.test_refusals import connect


@pytest.fixture(scope="module")
def secure(make_directory: MakeDirectory) -> Iterator[SecureNode]:
    """Give a node of one process: several notice a change one after the other."""
    running = SecureNode(make_directory("secure"), **{"node.processes": 1})
    try:
        running.node.start()
        yield running
    finally:
        print(running.node.output)
        running.node.kill()


def put(identity: Identity, place: Identity) -> None:
    """Put a certificate in the place of another one, as somebody does who copies two files."""
    for source, target in ((identity.certificate, place.certificate), (identity.key, place.key)):
        shutil.copy(source, f"{target}.new")
        Path(f"{target}.new").replace(target)


def shown(secure: SecureNode) -> bytes:
    """Return the certificate that the node shows."""
    with connect(secure.tls, secure.client) as sock:
        assert isinstance(sock, ssl.SSLSocket)
        return sock.getpeercert(binary_form=True)


def test_another_certificate_is_shown_to_the_next(secure: SecureNode) -> None:
    before, other = shown(secure), secure.ca.issue("MEDSERVER2")
    with connect(secure.tls, secure.client) as open_one:
        open_one.sendall(raw.associate_request(secure.tls, "ECHOSCU"))
        assert raw.receive_pdu(open_one)[0] == raw.ASSOCIATE_AC
        put(other, secure.own)
        assert shown(secure) != before
        open_one.sendall(raw.echo_request())  # nobody is interrupted
        assert raw.receive_status(open_one) == 0x0000


def test_what_cannot_be_read_changes_nothing(secure: SecureNode) -> None:
    before = shown(secure)
    secure.own.key.write_text("damaged")
    assert shown(secure) == before
    assert "not_taken_over" in secure.node.output
    put(secure.ca.issue("MEDSERVER3"), secure.own)
    assert shown(secure) != before


def test_an_open_association_proves_itself_anew(secure: SecureNode) -> None:
    """A pin that was removed ends what its AE may do, on an association that it has already."""
    own = secure.ca.issue("CT9")
    secure.allow("CT9", own)
    with connect(secure.tls, own) as sock:
        sock.sendall(raw.associate_request(secure.tls, "CT9"))
        assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC
        sock.sendall(raw.echo_request())
        assert raw.receive_status(sock) == 0x0000
        secure.allow("CT9", secure.client)
        sock.sendall(raw.echo_request(2))
        assert raw.receive_status(sock) == 0x0124


def test_expiry_is_said_at_hangup(secure: SecureNode) -> None:
    put(secure.ca.issue("SOON", ends=datetime.now(UTC) + timedelta(days=3)), secure.own)
    assert secure.node.server is not None
    secure.node.server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "expires on" in secure.node.output, what="the warning")


def test_expiry_is_said_once_a_day(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    soon = TestCA(tmp_path).issue("SOON", ends=datetime.now(UTC) + timedelta(days=3))
    config_path = tmp_path / "config.ini"
    config_path.write_text(f"[tls]\ncertificate = {soon.certificate}\nkey = {soon.key}\n")
    clock = Clock(0.0)
    config, watch = ConfigFile(config_path).current, ExpiryWatch(clock)
    with caplog.at_level(logging.WARNING):
        for passed_s in (0.0, 1.0, LOOK_EVERY_S):
            clock.advance(passed_s)
            watch.look(config)
    assert len(caplog.records) == 2
