"""Who has claimed jobs: a name for each worker, from which another one may tell that it is dead."""

from __future__ import annotations

from secrets import token_hex

from medserver.host import Process, is_dead

__all__ = ["is_dead", "new_owner"]


def new_owner(process: Process) -> str:
    """Return a name for a worker in a process that no other one has, or ever had."""
    return f"{process}:{token_hex(6)}"
