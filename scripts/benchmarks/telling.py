"""Work items are created, and twenty AEs watch, of which one is dead: how late the others are told."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

from pydicom.uid import generate_uid
from pynetdicom import evt

from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage
from tests.peers import Address, PeerFailed
from tests.peers.ports import free_port
from tests.peers.process import wait_until
from tests.peers.watcher import Watcher
from tests.workitems.peer import Peer, associated

WATCHERS = 19
"""And one that is dead."""

PER_SECOND = 10
ITEMS = 80
WARM_UP = 3


class Telling(Stage):
    """A server whose work items are watched."""

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the 99th percentile of the time from the request to the event [ms], at 200 events a second."""
        arrived: dict[tuple[int, str], float] = {}
        with ExitStack() as stack:
            watchers = [stack.enter_context(_watcher(number, arrived)) for number in range(WATCHERS)]
            addresses = [one.address for one in watchers] + [Address("DEAD", free_port())]
            settings = {f"ae {one.ae_title}.address": f"{one.host}:{one.port}" for one in addresses}
            running = self.start(candidate, stack, settings=settings)
            with associated(running, "PYNETDICOM") as requester:
                if any(requester.subscribe(one.ae_title) for one in addresses):
                    raise PeerFailed("a subscription was refused")
                for _ in range(WARM_UP):
                    requester.create(generate_uid())
                wait_until(lambda: len(arrived) == WARM_UP * WATCHERS, what="the first events")
                begun = _create(requester)
                expected = (WARM_UP + len(begun)) * WATCHERS
                wait_until(lambda: len(arrived) == expected, what="all events", deadline_s=60)
        delays = sorted(at - begun[uid] for (_, uid), at in arrived.items() if uid in begun)
        return delays[len(delays) * 99 // 100] * 1000


def _create(requester: Peer) -> dict[str, float]:
    """Create items at an even pace; return when each was asked for."""
    begun: dict[str, float] = {}
    pause, start = threading.Event(), time.monotonic()
    for number in range(ITEMS):
        pause.wait(max(0.0, start + number / PER_SECOND - time.monotonic()))
        uid = generate_uid()
        begun[uid] = time.monotonic()
        if requester.create(uid).Status != 0x0000:
            raise PeerFailed("an item was not created")
    return begun


def _watcher(number: int, arrived: dict[tuple[int, str], float]) -> Watcher:
    def take(event: evt.Event) -> int:
        arrived[number, str(event.request.AffectedSOPInstanceUID)] = time.monotonic()
        return 0x0000

    return Watcher(f"W{number}", respond=take)
