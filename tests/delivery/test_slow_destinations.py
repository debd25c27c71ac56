"""Four destinations that stall hold up nobody: neither a fifth, nor copies, commitments and polls."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.delivery.outbox import PATIENCE_S, send, uids_of
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_series
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.peers.receiver import Receiver
from tests.polling.source import Source
from tests.services.commitment_peer import CommitmentScu

SLOW = 4
COUNT = 2


@pytest.fixture
def stalled() -> Iterator[tuple[list[Receiver], threading.Event]]:
    """Give destinations that answer nothing until they are let go."""
    let_go = threading.Event()

    def answer(event: object) -> int:
        let_go.wait(2 * PATIENCE_S)
        return 0x0000

    with ExitStack() as stack:
        receivers = [stack.enter_context(Receiver(f"SLOW{number}", respond=answer)) for number in range(SLOW)]
        stack.callback(let_go.set)
        yield receivers, let_go


def test_slow_destinations_hold_up_nobody(
    stalled: tuple[list[Receiver], threading.Event], make_node: Callable[..., Node], dcmtk: Dcmtk, tmp_path: Path
) -> None:
    slow, let_go = stalled
    quick = dcmtk.start_storescp("QUICK")
    asking = CommitmentScu("ASKING").listen()
    collected = make_series(tmp_path / "there", 1, rows=16, columns=16, patient_id="THERE")
    source = Source([sample.path for sample in collected])
    # No answer within this time would end the stalled ones, and give way to the others.
    node = make_node(options={"limits.dimse_timeout_s": 10 * PATIENCE_S})
    node.set_section("volume second", {"path": tmp_path / "second", "role": "replica"})
    for remote in (*(receiver.address for receiver in slow), quick.address):
        node.add_remote(remote, allow=())
    node.add_remote(asking.address, allow=("commit",))
    node.add_remote(source.address, allow=("store",))
    node.set_section("route slow", {"to": ", ".join(receiver.address.ae_title for receiver in slow)})
    node.start()
    try:
        series = make_series(tmp_path / "sent", COUNT, rows=16, columns=16)
        send(dcmtk, node, series)
        wait_until(
            lambda: sum(one["state"] == "running" for one in delivered(node)) == SLOW,
            deadline_s=PATIENCE_S,
            what="the stalled destinations",
        )
        node.set_section("route quick", {"to": "QUICK"})
        node.set_section("poll there", {"source": "SOURCE", "every": "1 s", "days_back": 3000})
        more = make_series(tmp_path / "more", 1, rows=16, columns=16)
        send(dcmtk, node, more)
        transaction = asking.ask_and_go(node.address, [(one.sop_class_uid, one.sop_instance_uid) for one in series])
        assert len(asking.wait_for(transaction, deadline_s=PATIENCE_S).safe) == COUNT
        wait_until(
            lambda: set(uids_of(quick.files())) >= {one.sop_instance_uid for one in more},
            deadline_s=PATIENCE_S,
            what="the fifth destination",
        )
        wait_until(lambda: copies(node) == {2: COUNT + 2}, deadline_s=PATIENCE_S, what="copies, also of what is polled")
        assert not any(receiver.received for receiver in slow)
    finally:
        asking.close()
        source.close()
    let_go.set()
    wait_until(lambda: all(len(one.received) >= COUNT + 1 for one in slow), deadline_s=PATIENCE_S, what="the slow ones")


def delivered(node: Node) -> list[dict]:
    """Return the lanes of deliveries, by destination and state."""
    return [one for one in json.loads(node.cli("jobs", "--json").output) if one["kind"] == "deliver"]


def copies(node: Node) -> dict[int, int]:
    """Return how many objects have so many good copies."""
    found = json.loads(node.cli("store", "status", "--json").output)["good_copies"]
    return {int(number): count for number, count in found.items() if count}
