"""The messages: they arrive, they are few, and nothing depends on them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from huey.registry import Message

from medserver.config import ConfigFile
from medserver.index import Index, Lane, NewJob, open_index
from medserver.queue import Queue, open_queue
from medserver.queue.serializer import JsonSerializer
from medserver.queue.storages import READ_TIMEOUT_S
from medserver.work.kinds import JobKind
from medserver.work.runner import Runner
from tests.peers.process import wait_until
from tests.work.conftest import OpenNode, write_config
from tests.work.redis import Redis

LANES = [Lane("copy", "A"), Lane("copy", "Ü ' \""), Lane("check")]


@pytest.fixture
def ends(config_path: Path) -> Iterator[tuple[Queue, Queue]]:
    """Give two ends of one queue, as two processes would have them."""
    config = ConfigFile(config_path).current
    with ExitStack() as stack:

        def opened() -> Queue:
            index: Index = stack.enter_context(open_index(config.index.url, base=config.node.data))
            queue = open_queue(config.jobs.url, index)
            stack.callback(queue.release)
            stack.callback(queue.close)
            return queue

        yield opened(), opened()


def received(queue: Queue) -> list[Lane]:
    """Return all lanes of which there are messages."""
    lanes = []
    while (lane := queue.receive()) is not None:
        lanes.append(lane)
    return lanes


def test_messages_arrive(ends: tuple[Queue, Queue]) -> None:
    sender, receiver = ends
    assert receiver.receive() is None
    sender.wake(LANES)
    lanes = {wait_until(receiver.receive, what="a message") for _ in LANES}
    assert lanes == set(LANES)
    assert receiver.receive() is None
    sender.wake(LANES[:1])
    assert wait_until(receiver.receive, what="a message") == LANES[0]


def test_messages_that_nobody_reads_do_not_pile_up(ends: tuple[Queue, Queue]) -> None:
    sender, receiver = ends
    for _ in range(3):
        for _ in range(200):
            sender.wake(LANES[:2])
        wait_until(lambda: not sender._lanes, what="the messages of this round")
    sender.close()
    assert sorted(received(receiver)) == sorted(LANES[:2])


def test_what_waits_is_sent_when_the_sender_closes(ends: tuple[Queue, Queue]) -> None:
    sender, receiver = ends
    sender.wake(LANES)
    sender.close()
    assert sorted(received(receiver)) == sorted(LANES)
    sender.wake(LANES)
    assert receiver.receive() is None


def test_who_waits_for_a_message_stops_when_told_to(ends: tuple[Queue, Queue]) -> None:
    """A node need not wait for the time of a read when it ends."""
    _, receiver = ends
    assert receiver.receive() is None  # everything is imported

    def wait() -> float:
        receiver.receive()  # connects this thread
        begin = time.monotonic()
        receiver.receive()
        receiver.release()
        return time.monotonic() - begin

    with ThreadPoolExecutor(1) as thread:
        waited = thread.submit(wait)
        receiver.stop_receiving()
        assert waited.result() < READ_TIMEOUT_S


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"[1]", b"\x80\x04N.", b'["os.system","true"]', b"[" * 10_000, b'["a"]' * 2_000]
)
def test_what_is_no_message_is_thrown_away(ends: tuple[Queue, Queue], data: bytes) -> None:
    sender, receiver = ends
    sender._opened().storage.enqueue(data)
    sender.release()
    assert received(receiver) == []
    sender.wake(LANES[:1])
    assert wait_until(receiver.receive, what="a message") == LANES[0]


def test_messages_are_texts_in_json() -> None:
    serializer = JsonSerializer()
    data = serializer.serialize(Message("id", "run_lane", args=("copy", "Ü")))
    assert json.loads(data) == ["run_lane", "copy", "Ü"]
    assert data == serializer.serialize(Message("another", "run_lane", args=("copy", "Ü")))
    assert serializer.deserialize(data)[1] == "run_lane"
    with pytest.raises(TypeError):
        serializer.serialize(Message("id", "run_lane", args=(object(),)))


def test_jobs_are_done_without_messages(
    request: pytest.FixtureRequest, tmp_path: Path, open_here: OpenNode, caplog: pytest.LogCaptureFixture
) -> None:
    config = write_config(request, tmp_path, "sqlite")
    broken = Redis(tmp_path)
    config.write_text(config.read_text() + f"url = {broken.new_database()}\n")
    broken.kill()
    node = open_here(config)
    seen: list[int] = []
    runner = Runner(node, [JobKind("copy", lambda node, batch: seen.append(batch[0].id))], sweep_interval_s=0.05)
    runner.start()
    numbers = node.index.add_jobs([NewJob("copy") for _ in range(3)])
    wait_until(lambda: sorted(seen) == numbers, what="the jobs")
    elsewhere = open_here(config)
    numbers += elsewhere.index.add_jobs([NewJob("copy")])
    wait_until(lambda: sorted(seen) == numbers, what="the job that another process added")
    wait_until(lambda: "messages do not reach the workers" in caplog.text, what="a line in the log")
    broken.start()
    wait_until(lambda: not node.queue._failing, what="messages that get through again")
    runner.stop(2)
    broken.kill()
