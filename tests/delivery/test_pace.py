"""A limit of the rate holds within an object, however that is made; no timeout is hit, and no stop waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage

from medserver.index import JobFilter
from medserver.node import Node
from medserver.work.runner import Runner
from tests.archive.conftest import open_archive, receive  # noqa: F401 - a fixture
from tests.delivery.test_moments import run_all
from tests.peers.files import Sample, make_series
from tests.peers.ports import free_port
from tests.peers.process import wait_until

SIDE = 512
OBJECT_BYTES = 2 * SIDE * SIDE
PATIENCE_S = 30.0


class Slowly:
    """pynetdicom, unchanged, as a storage SCP that notes when the PDUs of data arrive.

    Parameters
    ----------
    transfer_syntax_uid : str
        What it takes.
    network_timeout_s : float
        How long it waits for a PDU.
    on_data : callable
        Called with each association that data comes over.
    """

    def __init__(
        self,
        transfer_syntax_uid: str = ExplicitVRLittleEndian,
        network_timeout_s: float = 60.0,
        on_data: Callable[[evt.Event], None] = lambda event: None,
    ) -> None:
        self.arrived: list[tuple[float, int]] = []
        self.stored = 0
        self.port = free_port()
        self._on_data = on_data
        ae = AE("ARCHIVE")
        ae.network_timeout = network_timeout_s
        ae.add_supported_context(CTImageStorage, transfer_syntax_uid)
        handlers = [(evt.EVT_DATA_RECV, self._note), (evt.EVT_C_STORE, self._store)]
        self.server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _note(self, event: evt.Event) -> None:
        if event.data[0] == 0x04:
            self.arrived.append((time.monotonic(), len(event.data)))
            self._on_data(event)

    def _store(self, event: evt.Event) -> int:
        self.stored += 1
        return 0x0000


Start = Callable[..., Slowly]


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a function that starts the destination."""
    with ExitStack() as stack:

        def started(**options: object) -> Slowly:
            slowly = Slowly(**options)
            stack.callback(slowly.server.shutdown)
            return slowly

        yield started


Opened = Callable[..., Node]


@pytest.fixture
def opened(open_archive) -> Opened:  # noqa: F811
    """Give a function that opens a node with a rule that sends all to it."""

    def open_with(archive: Slowly, mb_per_s: float, *options: str) -> Node:
        address = f"ae ARCHIVE.address=127.0.0.1:{archive.port}"
        rate = f"ae ARCHIVE.send_rate_max_mb_per_s={mb_per_s}"
        return open_archive(address, rate, "route r.to=ARCHIVE", *options)

    return open_with


@pytest.fixture
def image(tmp_path: Path) -> Sample:
    return make_series(tmp_path / "made", 1, rows=SIDE, columns=SIDE)[0]


@pytest.mark.parametrize("how", ["as stored", "changed", "transcoded", "over two associations"])
def test_the_limit_holds_within_an_object(opened: Opened, start: Start, tmp_path: Path, how: str) -> None:
    """Bounds from below, which no slow machine can break: how long what arrived has taken."""
    mb_per_s, count = 1.0, 1
    archive = start(transfer_syntax_uid=ImplicitVRLittleEndian if how == "transcoded" else ExplicitVRLittleEndian)
    options: list[str] = ["route r.set=PatientName = Changed"] if how == "changed" else []
    if how == "over two associations":
        count = 2
        options = ["ae ARCHIVE.send_associations=2"]
    node = opened(archive, mb_per_s, *options)
    for number in range(count):
        [one] = make_series(tmp_path / f"{number}", 1, rows=SIDE, columns=SIDE)
        receive(node, one)
    begun_at = time.monotonic()
    run_all(node)
    assert archive.stored == count
    total = sum(size_bytes for _, size_bytes in archive.arrived)
    assert total > count * OBJECT_BYTES
    at_once = 0.1e6 + 0.02e6
    assert time.monotonic() - begun_at >= (total - 2 * at_once) / (mb_per_s * 1e6)
    # Nothing was sent ahead of its time.
    arrived = 0
    for moment, size_bytes in archive.arrived:
        arrived += size_bytes
        assert arrived <= mb_per_s * 1e6 * (moment - begun_at) + 2 * at_once


def test_no_timeout_is_hit(opened: Opened, start: Start, tmp_path: Path) -> None:
    """An object takes several times as long as either side waits for the other."""
    limits = ("limits.network_timeout_s=1", "limits.dimse_timeout_s=1", "limits.acse_timeout_s=1")
    archive = start(network_timeout_s=1.0)
    node = opened(archive, 0.01, *limits)
    receive(node, make_series(tmp_path, 1, rows=128, columns=128)[0])
    begun_at = time.monotonic()
    run_all(node)
    assert archive.stored == 1
    assert time.monotonic() - begun_at > 3.0


def test_an_association_that_is_lost_ends_the_wait(opened: Opened, start: Start, image: Sample) -> None:
    """At this rate the object would take ten minutes."""
    archive = start(on_data=lambda event: event.assoc.abort())
    node = opened(archive, 0.001)
    receive(node, image)
    begun_at = time.monotonic()
    Runner(node, periodic=()).run_due()
    assert time.monotonic() - begun_at < PATIENCE_S
    assert archive.stored == 0
    [job] = node.index.jobs.list(JobFilter("deliver"))
    assert "aborted" in str(job.last_error)


def test_a_worker_that_is_asked_to_end_does_not_wait(opened: Opened, start: Start, image: Sample) -> None:
    """What was under way is neither a failure of the destination nor an attempt."""
    ended = threading.Event()
    archive = start()
    archive.server.bind(evt.EVT_ABORTED, lambda event: ended.set())
    node = opened(archive, 0.001)
    receive(node, image)
    runner = Runner(node, periodic=())
    runner.start()
    wait_until(lambda: len(archive.arrived) > 1, what="the first bytes")
    begun_at = time.monotonic()
    runner.stop(2 * PATIENCE_S)
    assert time.monotonic() - begun_at < PATIENCE_S
    assert ended.wait(PATIENCE_S)
    [job] = node.index.jobs.list(JobFilter("deliver"))
    assert (job.state, job.attempts, job.last_error) == ("waiting", 0, None)
    assert all(state.paused_until is None for state in node.index.jobs.lanes("deliver"))
