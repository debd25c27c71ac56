"""The lock of a data folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from medserver import lock
from medserver.errors import BadUsage, StoreFailure
from tests.peers.node import REPOSITORY

HOLD = """
import sys, pathlib
from medserver import lock
with lock.shared(pathlib.Path(sys.argv[1])):
    print(flush=True)
    input()
"""


def test_many_share_it_or_one_has_it(tmp_path):
    data = tmp_path / "new" / "data"
    with lock.shared(data), lock.shared(data):
        with pytest.raises(BadUsage, match="the node is running"), lock.exclusive(data):
            pass
    with lock.exclusive(data):
        for way in (lock.shared, lock.exclusive):
            with pytest.raises(BadUsage), way(data):
                pass
    with lock.shared(data):
        pass


def test_it_goes_with_a_killed_process(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    with holder:
        holder.stdout.readline()
        with pytest.raises(BadUsage), lock.exclusive(tmp_path):
            pass
        holder.kill()
    with lock.exclusive(tmp_path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailure, match="cannot be locked"), lock.shared(Path(tmp_path / "file" / "data")):
        pass


def test_alone_among_processes(tmp_path, monkeypatch):
    """Who shares it can have it alone, and shares it again."""
    monkeypatch.setattr(lock, "WAIT_S", 0.1)
    with lock.shared(tmp_path), lock.shared(tmp_path):
        with lock.alone(tmp_path, "why"), pytest.raises(BadUsage), lock.shared(tmp_path):
            pass
        with pytest.raises(BadUsage), lock.exclusive(tmp_path):
            pass
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, tmp_path], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        ) as holder:  # fmt: skip
            holder.stdout.readline()
            with pytest.raises(BadUsage, match="why: the node is running"), lock.alone(tmp_path, "why"):
                pass
            holder.communicate("\n")
        with pytest.raises(BadUsage), lock.exclusive(tmp_path):
            pass
    with lock.exclusive(tmp_path), pytest.raises(BadUsage), lock.alone(tmp_path, "why"):
        pass
