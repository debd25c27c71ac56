"""The command line of medserver in the process of the test: a call costs milliseconds and not the start of Python.

Where the process is the point (signals, locks, permissions, crash points, pipes, the entry point) a test starts one.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from medserver.cli import main
from tests.peers.process import Completed

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Invoked(Completed):
    """What a command has left behind."""

    stdout: str = ""
    stderr: str = ""


def invoke(*arguments: str | Path, environment: Mapping[str, str] | None = None, typed: str = "") -> Invoked:
    """Run `medserver` with these arguments to its end. One thread at a time can do so.

    Parameters
    ----------
    *arguments : str or Path
        Those of the command line.
    environment : mapping of str to str, optional
        Added to the environment of the tests.
    typed : str
        What is read from standard input.

    Raises
    ------
    Exception
        What the program let through: its error boundary has a gap.
    """
    texts = tuple(map(str, arguments))
    with _process_restored():
        result = CliRunner().invoke(main, texts, prog_name="medserver", env=environment, input=typed)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Invoked(("medserver", *texts), result.exit_code, result.output, result.stdout, result.stderr)


@contextmanager
def _process_restored() -> Iterator[None]:
    """Take back what a command does to the process: its log, whose stream ends with it, and what it does on signals."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    actions = {number: signal.getsignal(number) for number in _SIGNALS}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        yield
    finally:
        for number, action in actions.items():
            signal.signal(number, action)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)
