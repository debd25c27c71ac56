"""Processes are killed between the request for storage commitment and its report: the report comes all the same."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from medserver.dicom import uids
from pydicom.uid import CTImageStorage

from tests.peers.node import REPOSITORY, Node
from tests.peers.process import Server, wait_until
from tests.services.client import Client
from tests.services.commitment_peer import CommitmentScu
from tests.services.corpus import make_study


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    """Give a node without workers: those are started, and killed, by the tests."""
    return start_node(options={"jobs.workers": 0, "node.processes": 1})


@pytest.fixture
def start_worker(node: Node) -> Iterator[Callable[[], Server]]:
    workers: list[Server] = []

    def start() -> Server:
        worker = Server(
            [sys.executable, "-m", "medserver", "--config", node.config, "worker"],
            log=node.directory / f"worker-{len(workers)}.log",
            environment={"PYTHONPATH": str(REPOSITORY)},
        )
        workers.append(worker)
        worker.wait_for_line("working pid=")
        return worker

    yield start
    for worker in workers:
        sys.stdout.write(worker.output)
        worker.kill()


def test_node_and_worker_are_killed(node: Node, start_worker: Callable[[], Server]) -> None:
    """Everything dies after the answer to the request, and the worker once more before the acknowledgement."""
    stored = make_study(3)
    assert Client(node.address).store(*stored) == [0] * 3
    present = [(one.sop_class_uid, one.sop_instance_uid) for one in stored]
    missing = (CTImageStorage, uids.new_uid())
    is_killed, arrivals = threading.Event(), []

    def respond() -> int:
        arrivals.append(None)
        if len(arrivals) == 1:
            is_killed.wait(30)
        return 0x0000

    scu = CommitmentScu("SURVIVOR", respond).listen()
    node.add_remote(scu.address)
    try:
        transaction_uid = scu.ask_and_go(node.address, [present[0], missing, *present[1:]])
        node.kill()
        node.start()
        first = start_worker()
        wait_until(lambda: arrivals, what="the first report")
        first.kill()
        is_killed.set()
        start_worker()
        report = scu.wait_for(transaction_uid, deadline_s=60, count=2)
    finally:
        scu.close()
    for one in scu.reports:
        assert (one.event_type_id, one.safe, one.failed) == (2, present, {missing: 0x0112})
    assert report is scu.reports[1]


def test_worker_that_comes_after_everything(node: Node, start_worker: Callable[[], Server]) -> None:
    """The association is open, no worker is there; one that comes later is in time for the same association."""
    [stored] = make_study(1)
    assert Client(node.address).store(stored) == [0]
    scu = CommitmentScu("PATIENT")
    node.add_remote(scu.address)
    with scu.associated(node.address) as association:
        _, transaction_uid = scu.ask(association, [(stored.sop_class_uid, stored.sop_instance_uid)])
        start_worker()
        assert scu.wait_for(transaction_uid).by_requestor
