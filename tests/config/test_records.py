"""Who is who: callers, destinations and addresses."""

from __future__ import annotations

import ipaddress
import threading
from pathlib import Path

import pytest

from medserver.config import Config, read_config
from medserver.config.addresses import parse_host_and_port, plain_address
from medserver.config.resolver import LIFETIME_S, RETRY_AFTER_S, HostResolver
from tests.clock import Clock

ENTRIES = """
[ae CT1]
address = 10.0.0.5:104
[ae CT1-twin]
ae_title = CT1
sources = 10.0.1.0/24, 2001:db8::/32
[ae NAMED]
address = ct.example:104
"""


class NameServer:
    """A look-up whose answers the test decides; counts the questions."""

    def __init__(self, **addresses: str) -> None:
        self.addresses = addresses
        self.questions: list[str] = []
        self.asked = threading.Semaphore(0)

    def __call__(self, host: str):
        self.questions.append(host)
        try:
            if host not in self.addresses:
                raise OSError("no such host")
            return frozenset({plain_address(self.addresses[host])})
        finally:
            self.asked.release()


def config(resolver: HostResolver | None = None) -> Config:
    return read_config(ENTRIES, base=Path("/"), resolver=resolver).config


@pytest.mark.parametrize(
    ("ae_title", "address", "name"),
    [
        ("CT1", "10.0.0.5", "CT1"),
        (" CT1  ", "10.0.0.5", "CT1"),
        ("CT1", "::ffff:10.0.0.5", "CT1"),
        ("CT1", "10.0.1.77", "CT1-twin"),
        ("CT1", "2001:db8::9", "CT1-twin"),
        ("CT1", "2001:db8::9%eth0", "CT1-twin"),
        ("CT1", "10.0.2.1", None),
        ("ct1", "10.0.0.5", None),
        ("CT1-twin", "10.0.1.77", None),
        ("", "10.0.0.5", None),
        ("OTHER", "10.0.0.5", None),
    ],
)
def test_a_caller_needs_both_title_and_address(ae_title, address, name):
    remote = config().remotes_for(ae_title, address)
    assert (remote.name if remote else None) == name


def test_destination_is_the_entry_with_a_port():
    assert config().destination("CT1").name == "CT1"
    assert config().destination("CT1-twin") is None
    assert config().remote_by_name("CT1-twin").ae_title == "CT1"
    assert config().remote_by_name("nobody") is None


def test_host_names_are_resolved_when_their_ae_calls():
    name_server = NameServer(**{"ct.example": "10.7.7.7"})
    known = config(HostResolver(name_server))
    assert known.remotes_for("CT1", "10.7.7.7") is None
    assert name_server.questions == []
    assert known.remotes_for("NAMED", "10.7.7.7").name == "NAMED"
    assert known.remotes_for("NAMED", "10.7.7.8") is None
    assert known.knows_address("10.7.7.7") and known.knows_address("::ffff:10.0.0.5")
    assert not known.knows_address("10.7.7.8")
    assert name_server.questions == ["ct.example"]


def test_answers_are_remembered_and_survive_a_broken_name_server():
    clock, name_server = Clock(1000.0), NameServer(**{"a.example": "10.7.7.7"})
    resolver = HostResolver(name_server, clock)
    expected = frozenset({ipaddress.ip_address("10.7.7.7")})
    assert resolver.addresses("a.example") == expected
    assert name_server.asked.acquire(timeout=5)
    name_server.addresses.clear()
    clock.now += LIFETIME_S
    assert resolver.addresses("a.example") == expected  # given at once, asked again behind
    assert name_server.asked.acquire(timeout=5)
    assert resolver.addresses("a.example") == expected
    assert len(name_server.questions) == 2


def test_a_name_that_is_not_resolved_is_asked_again_later():
    clock, name_server = Clock(1000.0), NameServer()
    resolver = HostResolver(name_server, clock)
    assert resolver.addresses("a.example") == frozenset()
    assert resolver.addresses("a.example") == frozenset()
    assert len(name_server.questions) == 1
    name_server.addresses["a.example"] = "10.7.7.7"
    clock.now += RETRY_AFTER_S
    assert name_server.asked.acquire(timeout=5)
    resolver.addresses("a.example")
    assert name_server.asked.acquire(timeout=5)


def test_not_waiting_gives_what_is_known():
    release = threading.Event()

    def slow(host: str):
        release.wait(10)
        return frozenset({plain_address("10.0.0.1")})

    resolver = HostResolver(slow)
    assert resolver.addresses("slow.example", wait=False) == frozenset()
    release.set()
    assert resolver.addresses("slow.example") == {plain_address("10.0.0.1")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.5:104", ("10.0.0.5", 104)),
        ("host-1.example:104", ("host-1.example", 104)),
        ("[::1]:104", ("::1", 104)),
        ("[::1]", ("::1", None)),
        ("::1", ("::1", None)),
        ("host", ("host", None)),
    ],
)
def test_host_and_port(text, expected):
    assert parse_host_and_port(text) == expected


@pytest.mark.parametrize(
    "text", ["", ":104", "host:", "host:0", "host:65536", "host:1e3", "[host]:104", "a b:1", "-x"]
)
def test_host_and_port_refused(text):
    with pytest.raises(ValueError):
        parse_host_and_port(text)
