"""A configuration, and the program with it: in this process, or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.peers import command_line, starts_programs
from tests.peers.command_line import Invoked
from tests.peers.node import REPOSITORY

Invoke = Callable[..., Invoked]
Program = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    """Give a configuration with a destination and a caller."""
    path = tmp_path / "config.ini"
    path.write_text(
        "; head\n[node]\nport = 0\n\n[ae CT1]\naddress = 10.0.0.5:104\nallow = echo, store\n\n"
        "[ae WS]\nae_title = VIEWER\nsources = 10.0.1.0/24\nallow = find, move\n"
    )
    return path


@pytest.fixture
def invoke(config_path: Path) -> Invoke:
    """Give a function that runs ``medserver --config ...`` in this process."""
    return partial(command_line.invoke, "--config", config_path)


@pytest.fixture
def program(config_path: Path) -> Program:
    """Give a function that runs ``python -m medserver --config ...`` where the process is the point."""
    starts_programs()

    def run_program(
        *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "medserver", "--config", str(config_path), *arguments],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_program
