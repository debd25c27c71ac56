"""The limits of associations: in all, of one address, of one AE, a minute; and the places that are reserved.

The loopback network has sixteen million addresses to call from.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from tests.attacks import raw
from tests.attacks.conftest import SiegeFactory
from tests.attacks.siege import Siege

LIMITS = {
    "limits.associations_max": 40,
    "limits.associations_per_address_max": 25,
    "limits.associations_per_ae_max": 15,
    # What is full stays full.
    "limits.network_timeout_s": 60,
}
RESERVED_PER_AE = 4
LOCAL_LIMIT_EXCEEDED = (2, 3, 2)
AE_TITLES = ("GREEDY", "MODEST", "THIRD", "FOURTH")
REFUSALS = 300


@pytest.fixture(scope="module")
def siege(besiege: SiegeFactory) -> Siege:
    return limited(besiege, LIMITS)


def limited(besiege: SiegeFactory, options: Mapping[str, object]) -> Siege:
    """Start a node that knows a few AEs, which may call from anywhere on the loopback network."""
    siege = besiege(options)
    for ae_title in AE_TITLES:
        siege.node.add_remote(ae_title, options={"sources": "127.0.0.0/8"})
    return siege


class Callers:
    """Associations that stay open; `call` adds one, unless it is refused.

    Parameters
    ----------
    siege : Siege
        Whose node is called.
    """

    def __init__(self, siege: Siege) -> None:
        self._address = siege.node.address
        self._open = ExitStack()

    def __enter__(self) -> Callers:
        return self

    def __exit__(self, *failure: object) -> None:
        self._open.close()

    def call(self, ae_title: str, source: str = "127.0.0.1") -> bool:
        """Ask for an association that stays open; tell whether it was accepted."""
        sock = socket.create_connection(self._address[:0:-1], timeout=raw.TIMEOUT_S, source_address=(source, 0))
        try:
            sock.sendall(raw.associate_request(self._address, ae_title))
            pdu_type, body = raw.receive_pdu(sock)
        except BaseException:
            sock.close()
            raise
        if pdu_type == raw.ASSOCIATE_AC:
            self._open.enter_context(sock)
            return True
        sock.close()
        assert (pdu_type, tuple(body[1:4])) == (raw.ASSOCIATE_RJ, LOCAL_LIMIT_EXCEEDED)
        return False

    def fill(self, ae_title: str, source: str = "127.0.0.1", calls_max: int = 100) -> int:
        """Ask for associations until one is refused, or so many are open; return how many were accepted."""
        return next((count for count in range(calls_max) if not self.call(ae_title, source)), calls_max)


def test_limit_of_one_ae(siege: Siege) -> None:
    def attack() -> None:
        with Callers(siege) as callers:
            assert callers.fill("GREEDY") == 15
            assert callers.fill("GREEDY", "127.0.0.9") == RESERVED_PER_AE
            assert callers.call("MODEST")

    siege.withstands(attack)


def test_limit_of_one_address(siege: Siege) -> None:
    def attack() -> None:
        with Callers(siege) as callers:
            assert callers.fill("GREEDY", "127.0.0.9") == 15
            assert callers.fill("MODEST", "127.0.0.9") == 10
            assert callers.fill("THIRD", "127.0.0.9") == RESERVED_PER_AE
            assert callers.call("GREEDY", "127.0.0.10")
            assert callers.call("FOURTH", "127.0.0.10")

    siege.withstands(attack)


def test_limit_in_all(siege: Siege) -> None:
    """The legitimate peer has one or two of the associations."""

    def attack() -> None:
        with Callers(siege) as callers:
            assert callers.fill("GREEDY", "127.0.0.9") == 15
            assert callers.fill("MODEST", "127.0.0.10") == 15
            assert 7 <= callers.fill("THIRD", "127.0.0.11") <= 9
            assert callers.fill("FOURTH", "127.0.0.12") == RESERVED_PER_AE

    siege.withstands(attack)


def test_a_configured_ae_finds_a_reserved_place_and_what_a_limit_does_is_logged_once(siege: Siege) -> None:
    """Greedy peers knock at full speed on a node that is full; the modest one is let in time and again."""
    lines_before = siege.node.output.count("\n")

    greedy = [("GREEDY", "127.0.0.9"), ("THIRD", "127.0.0.10"), ("FOURTH", "127.0.0.11")]

    def attack() -> None:
        with Callers(siege) as callers:
            for ae_title, source in greedy:
                callers.fill(ae_title, source)
            accepted = 0
            for _ in range(REFUSALS // 3):
                accepted += sum(callers.call(ae_title, source) for ae_title, source in greedy)
                with Callers(siege) as modest:
                    assert modest.call("MODEST", "127.0.0.9")
            # The modest and the legitimate peer come and go, and a few take their places meanwhile.
            assert accepted <= 10

    siege.withstands(attack)
    lines = siege.node.output.splitlines()[lines_before:]
    assert 1 <= sum(" limit what=associations " in line for line in lines) <= 20
    # A refused association leaves no other line either: each accepted one has three.
    of_refused = [line for line in lines if any(f"calling={ae_title} " in line for ae_title in AE_TITLES[2:])]
    assert len(of_refused) <= REFUSALS // 3


@pytest.fixture
def hasty(besiege: SiegeFactory) -> Iterator[Siege]:
    yield limited(besiege, {"limits.associations_per_minute_per_address_max": 100})


def test_associations_in_a_minute(hasty: Siege) -> None:
    """They count also when they have ended; others at the address have a few for themselves."""
    others = iter(AE_TITLES[1:])  # another one each time, should the attack be repeated in the same minute

    def attack() -> None:
        accepted = refused = 0
        for _ in range(400):
            with Callers(hasty) as callers:
                if callers.call("GREEDY", "127.0.0.9"):
                    accepted += 1
                else:
                    refused += 1
        assert accepted <= 220 and refused >= 180  # the next minute may begin meanwhile
        with Callers(hasty) as callers:
            assert callers.fill(next(others), "127.0.0.9", RESERVED_PER_AE) == RESERVED_PER_AE
            assert callers.call("GREEDY", "127.0.0.10")

    hasty.withstands(attack)
    limits = [line for line in hasty.node.output.splitlines() if 'what="associations a minute"' in line]
    assert 1 <= len(limits) <= 12 and all("GREEDY" in line for line in limits)
