"""Who has claimed jobs: a name for each worker, from which another one on the same machine can tell that it is dead."""

from __future__ import annotations

import os
import socket
from secrets import token_hex

_SEPARATOR = ":"


def new_owner() -> str:
    """Return a name for this process that no other one has, or ever had."""
    return _SEPARATOR.join((*_place(), str(os.getpid()), token_hex(6)))


def is_dead(owner: str) -> bool:
    """Tell whether a worker ran on this machine and does not any more; False if that cannot be known."""
    parts = owner.split(_SEPARATOR)  # place, process, and what tells claims apart
    if len(parts) < 4 or tuple(parts[:2]) != _place() or not parts[2].isdigit():
        return False
    return not os.path.exists(f"/proc/{parts[2]}")


def _place() -> tuple[str, str]:
    """Return where process IDs mean the same: the machine, and the namespace of processes in it."""
    try:
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        namespace = "-"
    return socket.gethostname().replace(_SEPARATOR, "-"), namespace
