"""SIGHUP reads the configuration anew and ends nothing, whether it is sent or comes with the end of a terminal."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.uid import JPEG2000Lossless

from tests.crash.campaign import process_ids
from tests.peers import starts_programs
from tests.peers.files import make_series, make_small
from tests.peers.node import REPOSITORY, Node
from tests.peers.proc import members_of
from tests.peers.process import Server, wait_until
from tests.services.client import Client

READ_AGAIN = "configuration read again"
TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "medserver", *sys.argv[1:]])
"""
"""Makes its standard input the terminal of the session, as a login does, and becomes the node."""


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    return make_node(options={"node.processes": 2})


@pytest.fixture
def worker(node: Node) -> Iterator[Server]:
    command = [sys.executable, "-m", "medserver", "--config", node.config, "worker"]
    server = Server(command, log=node.directory / "worker.log", environment={"PYTHONPATH": str(REPOSITORY)})
    server.wait_for_line("working pid=")
    yield server
    server.kill()


def test_the_configuration_is_read_anew_by_every_process(node: Node) -> None:
    node.start()
    node.server.wait_for_line("listening")
    wait_until(lambda: len(process_ids(node)) == 5, what="all processes")
    before = process_ids(node)
    node.server.process.send_signal(signal.SIGHUP)  # to the supervisor alone
    # The supervisor, two acceptors and the worker; the placer needs nothing of it.
    wait_until(lambda: node.output.count(READ_AGAIN) >= 4, what="the configuration in four processes")
    good = node.config.read_text()
    node.config.write_text(good + "\n[ae NEW]\naddress = nonsense nonsense\n")
    node.server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: node.output.count("not taken over") >= 4, what="the complaint")
    assert process_ids(node) == before
    node.config.write_text(good + "\n[ae NEW]\naddress = 127.0.0.1\nallow = store\n")
    node.server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: node.output.count(READ_AGAIN) >= 8, what="the configuration")
    assert process_ids(node) == before
    assert node.stop() == 0
    assert "stopped" in node.output


def test_nothing_is_lost_when_all_processes_get_it(node: Node, tmp_path: Path) -> None:
    """As the whole process group does whose terminal is closed, those that compress among them."""
    node.start()
    client = Client(node.address)
    [image] = make_series(tmp_path / "image", 1, rows=64, columns=64)
    assert client.store(image) == [0]
    keys, kinds = {"SOPInstanceUID": image.sop_instance_uid}, [(image.sop_class_uid, JPEG2000Lossless)]
    assert client.get("IMAGE", keys, kinds, model="COMPOSITE").status == 0
    before = members_of(node.server.process.pid)
    stored = make_small(tmp_path / "small", 20)
    for number, one in enumerate(stored):
        if number % 4 == 0:
            os.killpg(node.server.process.pid, signal.SIGHUP)
        assert client.store(one) == [0]
    assert client.get("IMAGE", keys, kinds, model="COMPOSITE").status == 0
    assert members_of(node.server.process.pid) >= before
    assert node.stop() == 0
    checked = node.cli("index", "check", "--digests")
    assert checked.exit_code == 0, checked.output


HANGUPS, PAUSES, PAUSE_S = 200, 3, 0.7
"""A pause is longer than any process of the node waits for a signal."""


def test_no_process_ends_when_its_wait_is_interrupted(node: Node) -> None:
    """Python's sigtimedwait tells of a signal that nobody has sent when it is interrupted just as its time is over."""
    node.start()
    node.server.wait_for_line("listening")
    wait_until(lambda: len(process_ids(node)) == 5, what="all processes")
    before, group = process_ids(node), node.server.process.pid
    sent = itertools.count(1)

    def hang_up_often() -> bool:
        os.killpg(group, signal.SIGHUP)
        return next(sent) == HANGUPS

    wait_until(hang_up_often, what="many signals")
    for _ in range(PAUSES):
        os.killpg(group, signal.SIGSTOP)  # as Ctrl-Z does
        over_at = time.monotonic() + PAUSE_S
        wait_until(lambda over_at=over_at: time.monotonic() > over_at, what="a pause")
        os.killpg(group, signal.SIGCONT)
    assert Client(node.address).find("STUDY", {"StudyInstanceUID": "1.2"}).status == 0
    assert process_ids(node) == before
    assert node.stop() == 0


def test_a_node_in_the_foreground_goes_on_when_its_terminal_is_closed(node: Node, tmp_path: Path) -> None:
    starts_programs()
    controller, terminal = os.openpty()
    process_id = os.fork()
    if process_id == 0:
        os.setsid()
        for descriptor in (0, 1, 2):
            os.dup2(terminal, descriptor)
        os.closerange(3, 256)
        os.environ["PYTHONPATH"] = str(REPOSITORY)
        os.environ.pop("PYTHONUNBUFFERED", None)  # with it nothing is left to be written at the end
        os.execv(sys.executable, [sys.executable, "-c", TERMINAL, "--config", str(node.config), "serve"])
    os.close(terminal)
    try:
        shown = b""
        while b"listening" not in shown:
            shown += os.read(controller, 4096)
        client = Client(node.address)
        first, second = make_small(tmp_path / "sent", 2)
        assert client.store(first) == [0]
        os.close(controller)
        for one in (second, first):
            assert client.store(one) == [0]
        for one in (first, second):
            keys, kinds = {"SOPInstanceUID": one.sop_instance_uid}, [(one.sop_class_uid, one.transfer_syntax_uid)]
            assert list(client.get("IMAGE", keys, kinds, model="COMPOSITE").received) == [one.sop_instance_uid]
        assert os.waitpid(process_id, os.WNOHANG) == (0, 0)
        os.kill(process_id, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]) == 0
        process_id = 0
    finally:
        if process_id:
            os.killpg(process_id, signal.SIGKILL)
            os.waitpid(process_id, 0)


def test_a_worker_goes_on(worker: Server) -> None:
    worker.process.send_signal(signal.SIGHUP)
    worker.wait_for_line(READ_AGAIN)
    assert worker.is_running()
    assert worker.stop() == 0


@pytest.mark.parametrize(("command", "ready"), [("serve", "listening"), ("worker", "working pid=")])
def test_none_ends_what_is_still_starting(node: Node, command: str, ready: str) -> None:
    """The configuration comes through a pipe: who has opened it to write knows that it is being waited for."""
    pipe = node.directory / "pipe.ini"
    os.mkfifo(pipe)
    arguments = [sys.executable, "-m", "medserver", "--config", pipe, command]
    started = Server(arguments, log=node.directory / "started.log", environment={"PYTHONPATH": str(REPOSITORY)})
    try:
        with pipe.open("w") as writer:
            os.kill(started.process.pid, signal.SIGHUP)
            writer.write(node.config.read_text())
        started.wait_for_line(ready)
    finally:
        started.kill()
