"""The program as a process, and in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from medserver.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]

Run = Callable[..., subprocess.CompletedProcess]
Invoke = Callable[..., Result]


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
def run(config_path: Path) -> Run:
    """Give a function that runs ``python -m medserver --config ...``."""

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


@pytest.fixture
def invoke(config_path: Path) -> Invoke:
    """Give a function that runs the program in this process."""

    def invoke_program(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["--config", str(config_path), *arguments], prog_name="medserver")

    return invoke_program
