"""Who has claimed jobs: a name for each worker, from which another one may tell that it is dead."""

from __future__ import annotations

from secrets import token_hex

from medserver.host import Process, process_of


def new_owner(process: Process) -> str:
    """Return a name for a worker in a process that no other one has, or ever had."""
    return f"{process}:{token_hex(6)}"


def is_dead(owner: str, process: Process) -> bool:
    """Tell whether a worker does not run any more; False if that cannot be known.

    Parameters
    ----------
    owner : str
        Its name, or that of one of its claims.
    process : Process
        This process, whose node is registered: there is none with its UUID on another machine.
    """
    other = process_of(owner)
    if other is None:
        return False
    return other.is_gone or (other.node == process.node and other.machine != process.machine)
