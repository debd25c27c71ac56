"""PostgreSQL goes away while objects arrive: senders are told to come again, nothing is lost, nothing is left over."""

from __future__ import annotations

import threading
from collections.abc import Callable

from medserver.dicom import status

from tests.index.cluster import Cluster
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services.client import Client
from tests.services.corpus import Object, make_study

SENDERS, OBJECTS_EACH = 4, 60
STOPS = ("immediate", "fast", "immediate")


class Sender(threading.Thread):
    """Sends objects one after the other, each until it is acknowledged, as a modality does with its queue."""

    def __init__(self, node: Node, objects: list[Object]) -> None:
        super().__init__(daemon=True)
        self._client = Client(node.address)
        self._objects = objects
        self.acknowledged: list[str] = []
        self.refusals: list[int] = []

    def run(self) -> None:
        for one in self._objects:
            wait_until(lambda one=one: self._is_acknowledged(one), deadline_s=60, what="an acknowledgement")
            self.acknowledged.append(one.sop_instance_uid)

    def _is_acknowledged(self, one: Object) -> bool:
        [code] = self._client.store(one)
        if code != status.SUCCESS:
            self.refusals.append(code)
        return code == status.SUCCESS


def test_a_server_that_restarts_under_load(
    make_node: Callable[..., Node], new_database: Callable[[], str], cluster: Cluster
) -> None:
    """Slow: three restarts of PostgreSQL, with two processes of the node and four senders."""
    url = new_database()
    node = make_node(options={"index.url": url, "node.processes": 2}).start()
    senders = [Sender(node, make_study(OBJECTS_EACH)) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()

    def count() -> int:
        return sum(len(sender.acknowledged) for sender in senders)

    for number, mode in enumerate(STOPS, start=1):
        threshold = SENDERS * OBJECTS_EACH * number // (len(STOPS) + 1)
        wait_until(lambda threshold=threshold: count() >= threshold, deadline_s=60, what="acknowledgements")
        cluster.stop(mode)
        cluster.start()
    for sender in senders:
        sender.join(60)
    acknowledged = {uid for sender in senders for uid in sender.acknowledged}
    assert len(acknowledged) == SENDERS * OBJECTS_EACH
    assert {code for sender in senders for code in sender.refusals} <= {status.OUT_OF_RESOURCES}

    assert node.stop() == 0
    node.start()
    assert node.stop() == 0
    check = node.cli("index", "check", "--digests")
    assert check.exit_code == 0, check.output
    found = node.cli("index", "counts").output
    assert f"{SENDERS * OBJECTS_EACH}" in found, found


def test_while_the_server_is_away(
    make_node: Callable[..., Node], new_database: Callable[[], str], cluster: Cluster
) -> None:
    node = make_node(options={"index.url": new_database(), "node.processes": 1}).start()
    first, second, third = make_study(3)
    client = Client(node.address)
    assert client.store(first) == [status.SUCCESS]
    cluster.stop()
    try:
        assert client.store(second, third) == [status.OUT_OF_RESOURCES] * 2
        assert client.find("STUDY").status == status.OUT_OF_RESOURCES
    finally:
        cluster.start()
    wait_until(lambda: client.store(second, third) == [status.SUCCESS] * 2, what="the server")
    assert client.find("STUDY", {"StudyInstanceUID": first.dataset.StudyInstanceUID}).status == status.SUCCESS
    assert node.stop() == 0
    check = node.cli("index", "check", "--digests")
    assert check.exit_code == 0, check.output
