"""More open descriptors than `select` can count, in one process."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.attacks import raw
from tests.attacks.conftest import SiegeFactory
from tests.attacks.residue import acceptors_of
from tests.attacks.siege import Siege
from tests.services.client import Client
from tests.services.corpus import make_object

DESCRIPTORS = 1100
SOFT_LIMIT = 256
"""As low as a node may find it; 1,024 is what most systems have."""

END_S, ECHO_MAX_S, ATTEMPTS = 3.0, 0.25, 3

OPTIONS = {
    "node.processes": 1,
    "limits.associations_max": 1200,
    "limits.associations_per_address_max": 1200,
    "limits.associations_per_ae_max": 1200,
    # They are all silent until the last one is open.
    "limits.network_timeout_s": 60,
}


@contextmanager
def soft_limit(count: int | None) -> Iterator[None]:
    """Have another soft limit of descriptors for a while, and all that start meanwhile; None for the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if count is None else count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def siege(besiege: SiegeFactory) -> Siege:
    with soft_limit(SOFT_LIMIT):
        return besiege(OPTIONS)


def ask_for_release(sock: socket.socket) -> None:
    """Send an A-RELEASE request, and leave the connection open."""
    sock.sendall(raw.RELEASE_REQUEST)


def descriptor_limits(process_id: int) -> tuple[str, str]:
    """Return the soft and the hard limit of open files of a process."""
    lines = Path(f"/proc/{process_id}/limits").read_text().splitlines()
    soft, hard = next(line for line in lines if line.startswith("Max open files")).split()[3:5]
    return soft, hard


def test_the_node_raises_its_soft_limit(siege: Siege) -> None:
    (acceptor,) = acceptors_of(siege.node)
    soft, hard = descriptor_limits(acceptor)
    assert soft == hard and int(soft) > SOFT_LIMIT


def test_1100_open_associations(siege: Siege) -> None:
    """Each is answered, and whoever comes last stores and finds as everybody does."""
    (acceptor,) = acceptors_of(siege.node)

    def attack() -> None:
        with ExitStack() as stack:
            associations = [
                stack.enter_context(raw.associate(siege.node.address, "STORESCU")) for _ in range(DESCRIPTORS)
            ]
            assert len(list(Path(f"/proc/{acceptor}/fd").iterdir())) > DESCRIPTORS
            verify(associations[::50] + associations[-20:])
            late = Client(siege.node.address)
            instance = make_object()
            assert late.store(instance) == [0]
            found = late.find("STUDY", {"StudyInstanceUID": str(instance.dataset.StudyInstanceUID)})
            assert len(found.identifiers) == 1
            for sock in associations:
                raw.release(sock)

    with soft_limit(None):
        siege.withstands(attack)


@pytest.mark.parametrize("end", [socket.socket.close, raw.reset, ask_for_release], ids=["close", "reset", "release"])
def test_1100_associations_that_end_in_one_instant(siege: Siege, end: Callable[[socket.socket], object]) -> None:
    """A C-ECHO of another association waits for less than a quarter of a second; it was seconds.

    Other programs can keep the node from the processor for as long: one of some attempts must be quick.
    """

    def attack() -> None:
        assert any(longest_echo(siege, end) < ECHO_MAX_S for _ in range(ATTEMPTS))

    with soft_limit(None):
        siege.withstands(attack)


def longest_echo(siege: Siege, end: Callable[[socket.socket], object]) -> float:
    """Return the time [s] of the slowest C-ECHO on another association, while all end."""
    with ExitStack() as stack:
        associations = [
            stack.enter_context(raw.associate(siege.node.address, "STORESCU")) for _ in range(DESCRIPTORS)
        ]
        other = stack.enter_context(raw.associate(siege.node.address, "STORESCU"))
        for sock in associations:
            end(sock)
        longest = max(echo_times(other, END_S))
        raw.release(other)
        return longest


def echo_times(sock: socket.socket, duration_s: float) -> list[float]:
    """Send C-ECHOs for some time; return how long each took [s]."""
    ends_at = time.monotonic() + duration_s
    times = []
    while (began_at := time.monotonic()) < ends_at:
        verify([sock])
        times.append(time.monotonic() - began_at)
    return times


def verify(associations: list[socket.socket]) -> None:
    """Send a C-ECHO over each association."""
    for sock in associations:
        sock.sendall(raw.echo_request())
        assert raw.receive_status(sock) == 0
