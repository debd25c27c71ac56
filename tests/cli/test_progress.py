"""The progress bar in a terminal."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.peers.node import REPOSITORY

ERASED = "\r\x1b[K"

WORK = """
from medserver.cli.progress import progress

with progress("working") as bar:
    bar.expect(2)
    bar.advance()
    bar.echo("one is damaged", err=False)
    bar.advance()
    bar.echo("the other too")
"""


def test_lines_stand_above_the_bar() -> None:
    controller, terminal = os.openpty()
    subprocess.run([sys.executable, "-c", WORK], stdout=terminal, stderr=terminal, cwd=REPOSITORY, check=True)
    os.close(terminal)
    shown = os.read(controller, 65536).decode()  # less than a terminal holds
    os.close(controller)
    lines = [line.rpartition(ERASED)[2] for line in shown.split("\r\n")]
    assert lines[:2] == ["one is damaged", "the other too"]
    assert "working" in lines[2] and "100%" in lines[2] and len(lines) == 4
