"""The pace of associations: how much may be sent by when, on a clock that the test sets."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from medserver.memory_file import MemoryFile
from medserver.scu.padding import PaddedFile
from medserver.wire.association import Association, _chunks
from medserver.wire.connection import Connection
from medserver.wire.limits import WireLimits
from medserver.wire.pace import CHUNK_MIN_BYTES, Pace, Paces
from medserver.wire.pdata import fragment_bytes
from medserver.wire.transport import PlainTransport
from tests.attacks.raw import ABORT, P_DATA, reset
from tests.clock import Clock

RATE = 100_000.0
LONG_S = 20.0


def test_what_is_sent_by_several_is_limited_together() -> None:
    clock = Clock(0.0)
    pace = Pace(RATE, clock)
    moments = [pace.reserve(10_000) for _ in range(5)]
    assert moments == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    clock.now = 0.15
    assert pace.left_s(moments[4]) == pytest.approx(0.25)


def test_what_was_not_used_is_not_made_up_for() -> None:
    clock = Clock(0.0)
    pace = Pace(RATE, clock)
    pace.reserve(10_000)
    clock.now = 100.0
    assert [pace.reserve(10_000), pace.reserve(10_000)] == pytest.approx([100.0, 100.1])


@pytest.mark.parametrize(("rate", "chunk_bytes"), [(1e9, 100_000_000), (RATE, 10_000), (1.0, CHUNK_MIN_BYTES)])
def test_much_less_is_sent_at_once_than_a_peer_waits_for(rate: float, chunk_bytes: int) -> None:
    assert Pace(rate).chunk_bytes == chunk_bytes


def test_a_remote_ae_has_one_pace_which_takes_the_limit_of_now() -> None:
    paces = Paces()
    pace = paces.of("A", 1.0)
    assert paces.of("A", 2.0) is pace and pace is not None and pace.bytes_per_s == 2.0
    assert paces.of("B", 2.0) is not pace
    assert paces.of("A", 0) is None
    assert paces.of("A", 1.0) is not pace


@pytest.mark.parametrize("size_bytes", [0, 1, 1_000, 9_999, 10_000, 30_001])
@pytest.mark.parametrize("chunk_bytes", [1_024, 10_000, 1_000_000])
@pytest.mark.parametrize("kind", ["file", "memory", "padded"])
def test_chunks_are_the_data_set_in_whole_fragments(kind: str, chunk_bytes: int, size_bytes: int) -> None:
    content = bytes(range(256)) * 200
    content = content[: size_bytes - (kind == "padded")] if size_bytes else b""
    expected = content + b"\0" * (size_bytes - len(content))
    file = {
        "file": lambda: io.BytesIO(content),
        "memory": lambda: MemoryFile(memoryview(content)),
        "padded": lambda: PaddedFile(io.BytesIO(content), len(content)) if size_bytes else io.BytesIO(b""),
    }[kind]()
    found = [(bytes(chunk), is_last) for chunk, is_last in _chunks(file, size_bytes, 1_024, chunk_bytes)]
    assert b"".join(chunk for chunk, _ in found) == expected
    assert [is_last for _, is_last in found] == [False] * (len(found) - 1) + [True]
    fragment = fragment_bytes(1_024)
    assert all(len(chunk) % fragment == 0 and len(chunk) <= max(chunk_bytes, fragment) for chunk, _ in found[:-1])


def test_a_file_that_ends_early_is_told() -> None:
    for file in (io.BytesIO(b"ab"), MemoryFile(memoryview(b"ab"))):
        assert list(_chunks(file, 5_000, 1_024, 1_024))[-1] == (None, True)


class Written(Association):
    """An association that notes what is written, and when; whoever waits on it moves its clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(WireLimits())
        self.written: list[tuple[float, int]] = []
        self._clock = clock
        self.upper_layer.connection = self

    def ends_within(self, timeout_s: float, expected: int) -> bool:
        self._clock.now += timeout_s
        return False

    def write(self, pieces: list[bytes | memoryview]) -> None:
        self.written.append((self._clock.now, sum(map(len, pieces))))


@pytest.mark.parametrize("in_memory", [False, True])
def test_the_limit_holds_within_an_object(in_memory: bool) -> None:
    """Over each time the bytes that were written are those of the rate, and one chunk with its headers."""
    clock, content = Clock(0.0), bytes(1_000_000)
    association = Written(clock)
    association.pace = Pace(RATE, clock)
    file = MemoryFile(memoryview(content)) if in_memory else io.BytesIO(content)
    association.send_file(1, b"command", file, len(content))
    total = 0
    for moment, size_bytes in association.written:
        total += size_bytes
        assert total <= 1.01 * RATE * moment + association.pace.chunk_bytes + 100
    assert clock.now == pytest.approx(len(content) / RATE, rel=0.01)
    # No peer waits long for the next bytes.
    assert max(after - before for (before, _), (after, _) in pairwise(association.written)) < 0.2


@pytest.fixture
def connected() -> Iterator[tuple[Connection, socket.socket]]:
    """Give a connection, and the socket of the peer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    with ours, theirs:
        yield Connection(PlainTransport(ours), 64, LONG_S), theirs


def test_a_wait_goes_on_while_the_peer_says_nothing_or_answers_early(
    connected: tuple[Connection, socket.socket],
) -> None:
    connection, theirs = connected
    assert not connection.ends_within(0.01, P_DATA)
    theirs.sendall(bytes([P_DATA]))
    assert connection.readable(LONG_S)
    assert not connection.ends_within(0.01, P_DATA)


@pytest.mark.parametrize("how", ["A-ABORT", "closed", "reset"])
def test_a_wait_ends_at_once_when_the_peer_ends_the_association(
    connected: tuple[Connection, socket.socket], how: str
) -> None:
    connection, theirs = connected

    def end() -> None:
        if how == "A-ABORT":
            theirs.sendall(bytes([ABORT]))
        elif how == "reset":
            reset(theirs)
        else:
            theirs.close()

    threading.Timer(0.05, end).start()
    begun_at = time.monotonic()
    assert connection.ends_within(LONG_S, P_DATA)
    assert time.monotonic() - begun_at < LONG_S / 2
