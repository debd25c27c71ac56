"""The supervisor where the system has no process for it."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.server import supervisor
from medserver.server.hangup import Hangup
from medserver.server.stop_request import StopRequest


@pytest.fixture
def signals() -> Iterator[None]:
    """Have the signal mask and the handlers be as they were, behind a supervisor in the process of the test."""
    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    handlers = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def test_a_fork_that_fails_is_tried_again(tmp_path: Path, signals: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends nothing: neither the supervisor nor the processes that there are."""
    (tmp_path / "config.ini").write_text(f"[node]\nport = 0\nprocesses = 2\ndata = {tmp_path}\n[jobs]\nworkers = 0\n")
    config_file = ConfigFile(tmp_path / "config.ini", ())
    hangup = Hangup(config_file)
    stop_request = StopRequest(hangup)
    attempts: list[None] = []

    def fork() -> int:
        attempts.append(None)
        if len(attempts) == 6:  # the placer and two acceptors have been tried twice; the end needs one more
            os.kill(os.getpid(), signal.SIGTERM)
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(supervisor, "RESTART_DELAY_S", 0.0)
    monkeypatch.setattr(os, "fork", fork)
    supervisor.Supervisor(config_file, stop_request, hangup).run()
    assert len(attempts) >= 6
