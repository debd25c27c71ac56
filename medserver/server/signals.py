"""The signals for which the processes of the node wait. They are blocked, so that none of them interrupts anything."""

from __future__ import annotations

import signal
from collections.abc import Set

from medserver.config import ConfigFile

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


def wait_for_signal(numbers: Set[int], timeout_s: float) -> int | None:
    """Wait for one of some signals, which must be blocked; None if none has come.

    A wait that is interrupted by another signal just when its time is over ends, in CPython, with a structure that
    nobody has filled: what it says is not believed unless it was waited for. Hence SIGHUP has to be blocked too.
    """
    received = signal.sigtimedwait(numbers, timeout_s)
    return received.si_signo if received is not None and received.si_signo in numbers else None


def is_asked_to_stop(config_file: ConfigFile, timeout_s: float) -> bool:
    """Wait for a stop signal; where SIGHUP comes, have the configuration read anew."""
    number = wait_for_signal(STOP_SIGNALS | {signal.SIGHUP}, timeout_s)
    if number == signal.SIGHUP:
        config_file.read_again()
    return number in STOP_SIGNALS
