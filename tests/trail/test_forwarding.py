"""The trail is sent to repositories: rsyslog with certificates on both sides, and UDP; breaks lose nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from medserver import trail
from medserver.audit import Actor, events
from medserver.audit.syslog import MSGID
from medserver.node import Node
from medserver.trail.forwarding import Forwarder
from medserver.trail.keeping import Keeper
from tests.audit import schema
from tests.peers.process import wait_until
from tests.peers.rsyslog import Rsyslog
from tests.trail.conftest import Open


@pytest.fixture
def url() -> str:
    """Give a database: of what is sent nothing depends on which."""
    return "sqlite:///index.db"


def tell(node: Node, count: int, first: int = 0) -> None:
    """Record some events."""
    who = Actor("CT1", "192.0.2.7")
    patients = [events.Patient(f"P{number}", "Müller^Jörg") for number in range(first, first + count)]
    trail.record(node, [events.study_deleted(who, patient, [events.Study("1.2.3")]) for patient in patients])


def seal(node: Node) -> Keeper:
    """Seal all, and return who has done it."""
    keeper = Keeper(node)
    assert keeper.take_lease()
    keeper.seal_all()
    return keeper


def rows(node: Node) -> list[str]:
    return [each.row.message for each in node.index.audit.page(0, 100_000)]


def options_of(rsyslog: Rsyslog, name: str, **more: object) -> dict[str, object]:
    files = {key.removeprefix("audit."): value for key, value in rsyslog.options.items()}
    return {"repositories": name, "resend": "0 s", **files, **more}


@pytest.mark.parametrize("kind", ["tls", "udp"])
def test_what_is_sealed_is_received(kind: str, open_archive: Open, rsyslog: Rsyslog) -> None:
    name = getattr(rsyslog, kind)
    node = open_archive(**options_of(rsyslog, name))
    tell(node, 250)
    keeper = seal(node)
    forwarder = Forwarder(node, name, keeper.has_lease)
    assert forwarder.forward() == 250
    wait_until(lambda: len(rsyslog.lines()) >= 250, what="rsyslog to have all")
    assert rsyslog.messages() == rows(node)
    assert all(schema.problems_of(each) == [] for each in rsyslog.messages()[:10])
    header = rsyslog.lines()[0].partition(b"\xef\xbb\xbf")[0].split(b" ")
    assert (header[0], header[3], header[5]) == (b"<85>1", b"medserver", MSGID.encode())
    [known] = node.index.audit.repositories().values()
    assert (known.sent_position, known.confirmed_position, known.problem) == (250, 250, None)
    assert forwarder.forward() == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"certificate": "foreign.pem", "key": "foreign.pem"}, ""),
        ({"ca": "foreign.pem"}, "CERTIFICATE_VERIFY_FAILED"),
        ({"certificate": "none", "key": "none"}, ""),
    ],
)
def test_who_is_not_trusted_gets_and_says_nothing(
    changes: dict[str, str], problem: str, open_archive: Open, rsyslog: Rsyslog
) -> None:
    files = {key: value if value == "none" else rsyslog.folder / value for key, value in changes.items()}
    node = open_archive(**options_of(rsyslog, rsyslog.tls, **files))
    tell(node, 3)
    forwarder = Forwarder(node, rsyslog.tls, seal(node).has_lease)
    assert forwarder.forward() == 0
    [known] = node.index.audit.repositories().values()
    assert known.sent_position == 0 and problem in (known.problem or "") and known.problem
    assert rsyslog.lines() == []


def test_a_key_that_others_can_read_is_not_used(open_archive: Open, rsyslog: Rsyslog, tmp_path: Path) -> None:
    key = tmp_path / "read.pem"
    key.write_bytes((rsyslog.folder / "foreign.pem").read_bytes())
    key.chmod(0o644)
    node = open_archive(**options_of(rsyslog, rsyslog.tls, certificate=key, key=key))
    tell(node, 1)
    forwarder = Forwarder(node, rsyslog.tls, seal(node).has_lease)
    assert forwarder.forward() == 0
    assert "others can read or change the private key" in node.index.audit.repositories()[rsyslog.tls].problem


def test_who_has_another_name_gets_nothing(open_archive: Open, rsyslog: Rsyslog) -> None:
    name = rsyslog.tls.replace("localhost", "127.0.0.1")
    node = open_archive(**options_of(rsyslog, name))
    tell(node, 1)
    assert Forwarder(node, name, seal(node).has_lease).forward() == 0
    assert rsyslog.lines() == []


def test_what_waits_is_sent_when_it_is_back(open_archive: Open, rsyslog: Rsyslog) -> None:
    node = open_archive(**options_of(rsyslog, rsyslog.tls))
    rsyslog.kill()
    tell(node, 20)
    keeper = seal(node)
    forwarder = Forwarder(node, rsyslog.tls, keeper.has_lease)
    assert forwarder.forward() == 0
    rsyslog.start()
    assert forwarder.forward() == 20
    wait_until(lambda: len(rsyslog.lines()) >= 20, what="rsyslog to have all")
    assert rsyslog.messages() == rows(node)


def test_what_was_sent_a_moment_ago_is_sent_again(open_archive: Open, rsyslog: Rsyslog) -> None:
    """It may be lost in the memory of the repository."""
    node = open_archive(**options_of(rsyslog, rsyslog.tls, resend="1 h"))
    tell(node, 5)
    keeper = seal(node)
    forwarder = Forwarder(node, rsyslog.tls, keeper.has_lease)
    assert forwarder.forward() == 5
    rsyslog.kill()
    tell(node, 5, 5)
    keeper.seal_all()
    assert forwarder.forward() == 0
    [known] = node.index.audit.repositories().values()
    assert known.sent_position == 0
    rsyslog.start()
    assert forwarder.forward() == 10
    wait_until(lambda: len(rsyslog.lines()) >= 15, what="rsyslog to have all")
    assert Counter(rsyslog.messages()) == Counter([*rows(node), *rows(node)[:5]])


def test_each_repository_has_its_own_position(open_archive: Open, rsyslog: Rsyslog, tmp_path: Path) -> None:
    other = Rsyslog(tmp_path / "other")
    node = open_archive(**options_of(rsyslog, f"{rsyslog.udp}, {other.udp}"))
    tell(node, 4)
    keeper = seal(node)
    assert Forwarder(node, rsyslog.udp, keeper.has_lease).forward() == 4
    assert node.index.audit.repositories().keys() == {rsyslog.udp}
    other.start()
    try:
        tell(node, 2, 4)
        keeper.seal_all()
        assert Forwarder(node, other.udp, keeper.has_lease).forward() == 6
        assert Forwarder(node, rsyslog.udp, keeper.has_lease).forward() == 2
        wait_until(lambda: len(other.lines()) == len(rsyslog.lines()) == 6, what="both to have all")
    finally:
        other.kill()


def test_a_killed_repository_loses_nothing(open_archive: Open, rsyslog: Rsyslog) -> None:
    """The long form is scripts/audit."""
    node = open_archive(**options_of(rsyslog, rsyslog.tls))
    keeper = Keeper(node)
    forwarder = Forwarder(node, rsyslog.tls, keeper.has_lease, window_rows=20)
    for turn in range(5):
        tell(node, 60, 60 * turn)
        assert keeper.take_lease()
        keeper.seal_all()
        forwarder.forward()
        rsyslog.kill()
        forwarder.forward()
        rsyslog.start()
    assert keeper.take_lease()
    forwarder.forward()
    wait_until(lambda: set(rsyslog.messages()) >= set(rows(node)), what="rsyslog to have all")
