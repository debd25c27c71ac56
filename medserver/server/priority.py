"""A process that can wait lets the others go first."""

from __future__ import annotations

import ctypes
import os
import platform

NICENESS = 10

_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "arm64": 30}
_OF_A_PROCESS, _IDLE_CLASS = 1, 3 << 13


def lower_priority() -> None:
    """Have this process, and the threads that it starts, get the processor and the disk after all others.

    The class of disk accesses is Linux's alone; where it is not known, or has no effect, nothing is lost.
    """
    os.nice(NICENESS)
    number = _IOPRIO_SET.get(platform.machine())
    if platform.system() == "Linux" and number is not None:
        ctypes.CDLL(None).syscall(number, _OF_A_PROCESS, 0, _IDLE_CLASS)
